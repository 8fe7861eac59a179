"""Checks of what becomes of a notification: sizes, time, and that it is handled once and truly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final

from hull_sdk.doctor.findings import Seen, failed, passed, untried
from hull_sdk.doctor.patient import Letter, Patient
from hull_sdk.doctor.visitor import Answer
from hull_sdk.wire.signatures import sign_claims

__all__ = ["double_run", "next_before_flush", "no_deadline", "no_size_limit"]

_NO_WRITES: Final = (
    "no handler wrote to the organization; give a person or a company that one would write about, with --user, "
    "--account or --setting"
)
_PIECE: Final = b" " * 65_536
#: How often a notification that has been handled is delivered again, since each time another process may get it.
_AGAIN: Final = 6
#: A pause in which everything has come that one run writes, in seconds.
_QUIET_S: Final = 0.3


def no_size_limit(patient: Patient) -> Seen:
    """Deliver a notification that is well signed, and far too large."""
    size = patient.options.oversize_bytes
    for name, chunked in (("with its size", False), ("in chunks, without a size", True)):
        letter = patient.letter()
        answer = _post_padded(patient, letter, size, chunked=chunked)
        if answer.succeeded or (answer.status is not None and answer.status >= 500):
            return failed(f"a body of {size >> 20} MiB that came {name} was read whole ({answer})")
    return passed(f"a body of {size >> 20} MiB was refused, with and without a stated size")


def _post_padded(patient: Patient, letter: Letter, size: int, *, chunked: bool) -> Answer:
    digest = sha256()
    for piece in _padded(letter.body, size):
        digest.update(piece)
    signature = sign_claims(patient.organization.key, patient.claims(letter, body_sha256=digest.hexdigest()))
    headers = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(size)}
    body = _padded(letter.body, size)
    return patient.post(body, signature, headers=headers, timeout_s=patient.options.limit_s)


def _padded(body: bytes, size: int) -> Iterator[bytes]:
    """Return JSON with blanks behind it, piece by piece."""
    yield body
    left = size - len(body)
    while left > 0:
        yield _PIECE[:left]
        left -= len(_PIECE)


def next_before_flush(patient: Patient) -> Seen:
    """Keep the organization from taking what a handler writes, and see whether ``next`` is answered all the same."""
    if patient.writing_channel is None:
        return untried(_NO_WRITES)
    organization, tasks, pause_s = patient.organization, patient.runtime.tasks, patient.options.pause_s
    before = organization.effects(patient.connector)
    with organization.holding("firehose", "api"):
        visit = tasks.spawn(
            lambda: patient.deliver(patient.letter(patient.writing_channel), timeout_s=patient.options.limit_s),
            name="hull-doctor-visit",
        )
        organization.wait_for(lambda: organization.effects(patient.connector) > before or visit.done(), pause_s)
        early = tasks.wait(visit, pause_s)
    answer = visit.result()
    if early and patient.believed(answer):
        return failed(f"it was answered before the organization had taken what the handler wrote ({answer})")
    return passed("the answer waits until the organization has taken what the handler wrote")


def double_run(patient: Patient) -> Seen:
    """Deliver a notification again while it is handled, and afterwards."""
    if patient.writing_channel is None:
        return untried(_NO_WRITES)
    letter, tasks, organization = patient.letter(patient.writing_channel), patient.runtime.tasks, patient.organization
    before = organization.effects(patient.connector)
    with organization.holding("firehose", "api"):
        visits = [tasks.spawn(patient.deliver, letter, name="hull-doctor-visit")]
        organization.wait_for(lambda: organization.effects(patient.connector) > before, patient.options.pause_s)
        visits += [tasks.spawn(patient.deliver, letter, name="hull-doctor-visit") for _ in range(2)]
        tasks.sleep(patient.options.pause_s)
    for visit in visits:
        visit.result()
    meanwhile = organization.effects(patient.connector) - before
    if meanwhile > patient.writes:
        return failed(f"delivered again while it was handled, it ran again: {meanwhile} writes for {patient.writes}")
    for _ in range(_AGAIN):
        patient.deliver(letter)
    tasks.sleep(_QUIET_S)
    written = organization.effects(patient.connector) - before
    if written > patient.writes:
        return failed(f"delivered again after it was handled, it ran again: {written} writes for {patient.writes}")
    return passed(f"delivered {len(visits) + _AGAIN} times, a notification was handled once")


def no_deadline(patient: Patient) -> Seen:
    """Keep the organization from answering anything, and see whether the connector still answers in time."""
    limit_s, tasks = patient.options.limit_s, patient.runtime.tasks
    with patient.organization.holding("firehose", "api", "key"):
        visits = [tasks.spawn(visit, name="hull-doctor-visit") for visit in _hanging_visits(patient)]
        for visit in visits:
            tasks.wait(visit, limit_s + 1)
    tasks.sleep(patient.options.pause_s)  # the connector may hold what it could not send
    answers = [visit.result() for visit in visits]
    late = [answer for answer in answers if answer.status is None]
    if late:
        return failed(f"while the organization did not answer, {late[0].request} had no answer in {limit_s:g} s")
    slowest = max(answer.elapsed_s for answer in answers)
    reach = "" if patient.writing_channel else "; what a handler writes was not among it: " + _NO_WRITES
    return passed(f"while the organization did not answer, all answers came within {slowest:.0f} s{reach}")


def _hanging_visits(patient: Patient) -> Iterator[Callable[[], Answer]]:
    limit_s = patient.options.limit_s
    fresh_key = patient.organization.key_url(patient.runtime.ids.object_id())
    yield lambda: patient.deliver(patient.letter(), key_url=fresh_key, timeout_s=limit_s)
    if patient.writing_channel is not None:
        yield lambda: patient.deliver(patient.letter(patient.writing_channel), timeout_s=limit_s)
    status = patient.status
    if status is not None:
        query = patient.query(patient.install({}))
        yield lambda: patient.call(status, query, timeout_s=limit_s)
