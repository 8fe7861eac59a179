"""Sessions of users: the first, the one of the sign-up, and the latest.

Rules: section "Sessions" of ``docs/protocol.md``. A session is what events with the same session id belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.core.clock import iso_seconds
from hull_sdk.platform.store import Entity

__all__ = ["merged_sessions", "session_fields", "with_session", "with_signup"]

Session = Mapping[str, Any]

#: Fields of a session in the order of the report.
_FIELDS: Final = ("id", "platform_id", "initial_url", "initial_referrer")


def with_session(user: Entity, item: Mapping[str, Any], at: float) -> Entity:
    """Return a user after an event.

    Args:
        user: Whose event.
        item: The event; one without ``session_id`` changes nothing.
        at: When it happened, in Unix seconds.
    """
    if item["session_id"] is None:
        return user
    context = item["context"]
    session: Session = {
        "id": item["session_id"],
        "started_at": at,
        "platform_id": item["app_id"],
        "initial_url": context.get("page", {}).get("url"),
        "initial_referrer": context.get("referrer", {}).get("url"),
    }
    sessions = {name: _earlier_start(known, session) for name, known in user.sessions.items()}
    if "first" not in sessions or at < sessions["first"]["started_at"]:
        sessions["first"] = session
    latest = sessions.get("latest")
    if latest is None or (at > latest["started_at"] and session["id"] != latest["id"]):
        sessions["latest"] = session
    return user if sessions == user.sessions else user.changed(sessions=sessions)


def with_signup(user: Entity) -> Entity:
    """Return a user whose session of the sign-up is known: the latest one when he got an e-mail or an external_id."""
    known = user.handle is not None or user.external_id is not None
    if not known or "signup" in user.sessions or "latest" not in user.sessions:
        return user
    return user.changed(sessions={**user.sessions, "signup": user.sessions["latest"]})


def merged_sessions(recipient: Entity, absorbed: Entity) -> Mapping[str, Session]:
    """Return the sessions after a merge: the earlier first and sign-up, the later latest."""
    merged: dict[str, Session] = {}
    for name in ("first", "signup", "latest"):
        found = [each.sessions[name] for each in (recipient, absorbed) if name in each.sessions]
        if found:
            choose = max if name == "latest" else min
            merged[name] = choose(found, key=lambda session: session["started_at"])
    return merged


def session_fields(user: Entity) -> dict[str, Any]:
    """Return the fields of a report that tell of sessions, such as ``first_session_started_at``."""
    fields: dict[str, Any] = {}
    for name, session in user.sessions.items():
        fields[f"{name}_session_started_at"] = iso_seconds(session["started_at"])
        fields.update((f"{name}_session_{key}", session[key]) for key in _FIELDS if session[key] is not None)
    return fields


def _earlier_start(known: Session, session: Session) -> Session:
    same = known["id"] == session["id"] and session["started_at"] < known["started_at"]
    return session if same else known
