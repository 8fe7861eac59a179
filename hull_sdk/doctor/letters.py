"""What is sent to a connector: messages that are good, and tokens that are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.platform.notifications import completed_message
from hull_sdk.wire import jws
from hull_sdk.wire.notifications import ENTITY_CHANNELS

__all__ = ["sample", "token", "unsigned"]

#: A person, and a company, with much of what handlers may want to see.
_USER: Final[dict[str, Any]] = {
    "id": "5a7962e2793d3e942a0d0c01",
    "external_id": "hull-doctor-1",
    "email": "hull.doctor@doctor.example",
    "name": "Hull Doctor",
    "first_name": "Hull",
    "last_name": "Doctor",
    "anonymous_ids": ["hull-doctor-anonymous-1"],
    "created_at": "2024-01-05T10:00:00Z",
    "segment_ids": [],
    "traits_plan": "pro",
    "traits_score": 50,
}
_ACCOUNT: Final[dict[str, Any]] = {
    "id": "5a7962e2793d3e942a0d0c02",
    "external_id": "hull-doctor-company-1",
    "domain": "doctor.example",
    "name": "Doctor Inc.",
    "employees": 250,
    "plan": "pro",
    "segment_ids": [],
}


def sample(channel: str, user: Mapping[str, Any], account: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of a channel as the platform would send it.

    Args:
        channel: For example ``"user:update"``.
        user: Attributes over those of the usual person.
        account: Likewise for the company.
    """
    if channel not in ENTITY_CHANNELS:
        return {"id": "5a7962e2793d3e942a0d0c03", "name": "Hull doctor", "type": "users_segment"}
    told = {"account": {**_ACCOUNT, **account}}
    if channel == "user:update":
        told["user"] = {**_USER, **user}
    changes = {kind: _changed(report) for kind, report in told.items()}
    return completed_message(channel, {**told, "changes": {"is_new": True, **changes}})


def _changed(report: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [None, value] for name, value in report.items() if name != "segment_ids"}


def token(secret: str, claims: Mapping[str, Any]) -> str:
    """Return a token by HS256; the secret may be a public key in PEM, with which libraries refuse to make one."""
    signed = jws.to_sign(jws.header_for("HS256"), claims)
    return jws.joined(signed, jws.mac(secret, signed))


def unsigned(algorithm: str, claims: Mapping[str, Any]) -> str:
    """Return a token without a signature.

    Args:
        algorithm: ``"none"``, in any case.
        claims: What it says.
    """
    return jws.joined(jws.to_sign(jws.header_for(algorithm), claims), b"")
