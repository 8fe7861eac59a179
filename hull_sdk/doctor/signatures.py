"""Checks of who is believed: forged, changed, old and unsigned notifications."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from hull_sdk.doctor.findings import Seen, failed, passed
from hull_sdk.doctor.letters import token, unsigned
from hull_sdk.doctor.patient import Letter, Patient
from hull_sdk.wire.signatures import public_pem, sign_claims

__all__ = ["alg_none", "foreign_key_url", "replay", "unbound_body"]

#: How old, or how far from now, a signature is that nobody should believe any more, in seconds.
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def foreign_key_url(patient: Patient) -> Seen:
    """Sign with a key of one's own and name its address on a host that is not allowed."""
    stranger, organization = patient.stranger, patient.organization
    addresses = [
        f"http://{stranger.host}/api/v1/notification_keys/1",
        f"http://{organization.host}@{stranger.host}/key",
        f"http://{stranger.host}/{organization.host}/key",
        f"http://{stranger.host}#@{organization.host}/key",
        f"http://{stranger.host}\\@{organization.host}/key",
    ]
    for address in addresses:
        visits, writes = stranger.visits, organization.effects(patient.connector)
        answer = patient.deliver(patient.letter(), key=stranger.key, key_url=address)
        if patient.believed(answer, writes):
            return failed(f"a notification was believed that was signed with the key at {address} ({answer})")
        if stranger.visits > visits:
            return failed(f"the key was fetched from {address}, which is not allowed")
    return passed(f"keys at {len(addresses)} addresses of a host that is not allowed were not fetched")


def unbound_body(patient: Patient) -> Seen:
    """Deliver bodies that the signature was not made for."""
    for name, claims_of in (("does not cover the body", _unbound), ("was made for another body", _of_another_body)):
        letter = patient.letter()
        seen = _refuses(patient, letter, sign_claims(patient.organization.key, claims_of(patient, letter)), name)
        if seen is not None:
            return seen
    letter = patient.letter()
    signature = sign_claims(patient.organization.key, patient.claims(letter, jti=patient.runtime.ids.uuid()))
    seen = _refuses(patient, letter, signature, "was made for another notification")
    return passed("bodies that were not signed, or for another id, were refused") if seen is None else seen


def replay(patient: Patient) -> Seen:
    """Deliver a notification whose signature is long over, and one that was signed in the future."""
    now = int(patient.runtime.clock.time())
    times = {
        "expired an hour ago": {"iat": now - _HOUR_S - 300, "exp": now - _HOUR_S},
        "expired yesterday": {"iat": now - _DAY_S - 300, "exp": now - _DAY_S},
        "was made in an hour": {"iat": now + _HOUR_S, "exp": now + _HOUR_S + 300},
    }
    for name, changes in times.items():
        letter = patient.letter()
        signature = sign_claims(patient.organization.key, patient.claims(letter, **changes))
        seen = _refuses(patient, letter, signature, name)
        if seen is not None:
            return seen
    return passed("signatures of the past and of the future were refused")


def alg_none(patient: Patient) -> Seen:
    """Deliver notifications, and show tokens, that nobody signed, or with the public key as if it were a secret."""
    letter = patient.letter()
    for name, signature in _forged(patient, patient.claims(letter)):
        seen = _refuses(patient, letter, signature, f"has {name}")
        if seen is not None:
            return seen
    return _forged_tokens(patient) or passed("unsigned notifications and tokens were refused")


def _refuses(patient: Patient, letter: Letter, signature: str, what: str) -> Seen | None:
    writes = patient.organization.effects(patient.connector)
    answer = patient.deliver(letter, signature=signature)
    if not patient.believed(answer, writes):
        return None
    return failed(f"a notification was believed whose signature {what} ({answer})")


def _unbound(patient: Patient, letter: Letter) -> dict[str, Any]:
    return patient.claims(letter, body_sha256=None)


def _of_another_body(patient: Patient, letter: Letter) -> dict[str, Any]:
    # The id is the same, so that only the digest tells.
    other = Letter(id=letter.id, body=letter.body.replace(b"doctor.example", b"another.example"))
    return patient.claims(other)


def _forged(patient: Patient, claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for algorithm in ("none", "None", "NONE"):
        yield f"the algorithm {algorithm!r}", unsigned(algorithm, claims)
    yield "the public key as its secret (HS256)", token(public_pem(patient.organization.key), claims)


def _forged_tokens(patient: Patient) -> Seen | None:
    """Show the status, or another endpoint, a token that anybody could have written."""
    path = patient.status or next(iter(patient.paths), None)
    if path is None:
        return None
    for name in ("hullToken", "token"):
        for kind, forged in (
            ("the algorithm 'none'", partial(unsigned, "none")),
            ("an empty secret", partial(token, "")),
        ):
            connector = patient.install({})
            answer = patient.call(path, f"{name}={forged(patient.credentials(connector))}", method="GET")
            if answer.succeeded and patient.organization.asked_by(connector):
                return failed(f"a token with {kind} was believed as {name} at {path} ({answer})")
    return None
