"""Checks of what a connector says of itself: secrets in error pages, and a status that knows nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.doctor.findings import Seen, failed, passed, untried
from hull_sdk.doctor.patient import Patient
from hull_sdk.doctor.visitor import Answer
from hull_sdk.platform import Connector
from hull_sdk.wire.notifications import ENTITY_CHANNELS

__all__ = ["secret_in_error_page", "status_always_ok"]

_BODIES: Final = (b"{", b"null", b"[]", b'"x"', b'{"email": {"a": []}, "user": null}', b"[" * 20_000, b"\xff\xfe")
_MESSAGES: Final[tuple[list[Any], ...]] = (
    [{"message_id": "doctor-1"}],
    [{"message_id": "doctor-2", "user": None, "account": None, "segments": None, "events": None, "changes": None}],
    [{"message_id": "doctor-3", "user": {"id": 5, "email": {"a": 1}}, "account": {"domain": [], "employees": "x"}}],
    [None],
    ["x"],
)
#: What only a developer should see.
_TRACES: Final = re.compile(
    rb"Traceback \(most recent call last\)|__debugger__|^\s+at [^\n]*[(/][^\n]*:\d+:\d+\)?\s*$|"
    rb"\.java:\d+\)|^\s+from [^\n]*\.rb:\d+:in |goroutine \d+ \[",
    re.MULTILINE,
)
#: Refusals by the organization that no client tries again.
_REFUSAL: Final = 400
#: Longest wait for one answer, in seconds; one that comes later is not looked at.
_TIMEOUT_S: Final = 8.0


def secret_in_error_page(patient: Patient) -> Seen:
    """Provoke errors in many ways, and look for the connector's secrets in all answers that tell of errors."""
    junk = patient.junk()
    connector = patient.install(junk)
    _provoke(patient, connector)
    secrets = {"the connector's secret": connector.secret, "the secret of another": patient.connector.secret}
    secrets |= {f"the private setting {name!r}": value for name, value in junk.items()}
    told = [answer for answer in patient.visitor.answers if _tells_of_error(answer)]
    for answer in told:
        page = answer.body + "\n".join(answer.headers.values()).encode()
        for name, secret in secrets.items():
            if secret.encode() in page:
                return failed(f"{name} stands in the answer to {answer}")
        if _TRACES.search(page) is not None:
            return failed(f"a stack trace, or a debugger, stands in the answer to {answer}")
    return passed(f"{len(told)} answers that tell of errors hold no secret and no stack trace")


def _provoke(patient: Patient, connector: Connector) -> None:
    # Only once with keys that look like some: a handler may show them to the service that they would be of.
    query = patient.query()
    for path in patient.paths:
        patient.call(path, patient.query(connector), timeout_s=_TIMEOUT_S)
    for path in dict.fromkeys([*patient.paths, "/doctor-no-such-page", patient.notifications]):
        for body in _BODIES:
            patient.call(path, query, body=body, timeout_s=_TIMEOUT_S)
        for method in ("GET", "PATCH"):
            patient.call(path, query, method=method, timeout_s=_TIMEOUT_S)
        patient.call(path, "hullToken=doctor&token=doctor", method="GET", timeout_s=_TIMEOUT_S)
        patient.call(path, patient.query(connector, secret="wrong"), timeout_s=_TIMEOUT_S)  # noqa: S106 - no secret
    channels = dict.fromkeys([*ENTITY_CHANNELS, patient.channel])
    for channel in channels:
        for messages in _MESSAGES:
            patient.deliver(patient.letter(channel, messages=messages, connector=connector), timeout_s=_TIMEOUT_S)
    with patient.organization.refusing(_REFUSAL):
        for path in patient.paths:
            patient.call(path, patient.query(patient.install({})), timeout_s=_TIMEOUT_S)
        patient.deliver(patient.letter(patient.writing_channel), timeout_s=_TIMEOUT_S)


def _tells_of_error(answer: Answer) -> bool:
    return answer.status is not None and (answer.status >= 400 or answer.is_notification)


def status_always_ok(patient: Patient) -> Seen:
    """Ask for the status with nobody's credentials, without settings and with keys that cannot work."""
    path = patient.status
    if path is None:
        return untried("the manifest names no status; give it one, so that its users learn what is wrong")
    for name, query in (("no credentials", ""), ("a wrong secret", patient.query(secret="wrong"))):  # noqa: S106 - wrong
        answer = _status(patient, path, query)
        if _is_ok(answer):
            return failed(f"the status is ok with {name} ({answer})")
    junk = patient.junk()
    if not junk:
        return passed("the status is not ok for strangers; there is no key among the settings that could be wrong")
    missing = dict.fromkeys(junk, "")
    answers = [_status(patient, path, patient.query(patient.install(each))) for each in (missing, patient.made_up())]
    if all(map(_is_ok, answers)):
        return failed(f"the status is ok without {', '.join(junk)}, and with values that cannot be right")
    return passed(f"without {', '.join(junk)}, or with wrong values, it is not ok")


def _status(patient: Patient, path: str, query: str) -> Answer:
    answer = patient.call(path, query, timeout_s=patient.options.limit_s)
    if answer.status not in (404, 405):
        return answer
    return patient.call(path, query, method="GET", timeout_s=patient.options.limit_s)


def _is_ok(answer: Answer) -> bool:
    value = answer.value
    said = value.get("status") if isinstance(value, Mapping) else answer.body.strip().decode(errors="replace")
    return answer.succeeded and str(said).lower() == "ok"
