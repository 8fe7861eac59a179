"""What the demo must come out at, calculated without the platform.

A plain fold over the messages: it keeps people, companies and counters in ordinary objects and knows only the
rules that the bundled data set exercises (claims, merging, attribute operations, the demo's segments, the lead
score). It imports nothing of this package, so that an error in the platform cannot hide in here.

Not covered, because the data set has none of it: claims by ``id``, dates with zones other than UTC.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["fold"]

_KEY = {"user": "email", "account": "domain"}
_NOT_A_COMPANY = {"gmail.com", "outlook.com", "yahoo.com", "webmail.example", "postbox.example"}
_OPERATIONS = {
    "set": "set",
    "setIfNull": "setIfNull",
    "inc": "inc",
    "increment": "inc",
    "dec": "dec",
    "decrement": "dec",
}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(eq=False)
class _Entity:
    kind: str
    born: int
    external_id: str | None = None
    key: str | None = None  # a person's e-mail, a company's domain
    old_keys: set[str] = field(default_factory=set)
    anonymous_ids: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    account: _Entity | None = None
    events: dict[str, str] = field(default_factory=dict)
    segments: frozenset[str] = frozenset()

    def get(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name)
        return default if value is None else value

    @property
    def mergeable(self) -> bool:
        return self.external_id is None

    def answers_to(self, key: str) -> bool:
        return key == self.key or key in self.old_keys


class _IgnoredError(Exception):
    """The message asks for nothing that can be done."""


def fold(messages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Calculate the figures of a run.

    Args:
        messages: The data set's messages in the order of their sending, as :func:`hull_sdk.demo.dataset.load`
            returns them.

    Returns:
        ``messages`` (``applied``, of them ``merged``, ``ignored``, ``failed``), ``users``, ``accounts``, ``events``,
        ``segments`` (``entered`` and ``left`` by name), ``written`` (what the connector has to have written in
        the end, by person and by company) and ``dead_letters``.
    """
    world = _World()
    for message in messages:
        world.take(message)
    return world.figures()


class _World:
    def __init__(self) -> None:
        self.entities: dict[str, list[_Entity]] = {"user": [], "account": []}
        self.types: dict[tuple[str, str], str] = {}
        self.messages: Counter[str] = Counter()
        self.merged = False
        self.entered: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.unnamed_events = 0
        self.born = 0

    # -- one message -------------------------------------------------------------------------------------

    def take(self, message: Mapping[str, Any]) -> None:
        try:
            self._apply(message)
        except _IgnoredError:
            self.messages["ignored"] += 1
        else:
            self.messages["applied"] += 1
            self.messages["merged"] += self.merged
        self.merged = False
        self._decide_segments()

    def _apply(self, message: Mapping[str, Any]) -> None:
        subject = self._subject(message)
        if "traits" in message:
            for name, value in message["traits"].items():
                self._write(subject, re.sub(r"[.$]", "", name).strip().lower(), value)
        elif "track" in message:
            self._track(subject, message["track"], message.get("context", {}).get("event_id"))
        elif "alias" in message:
            self._alias(subject, message["alias"]["anonymous_id"])
        else:
            self._unalias(subject, message["unalias"]["anonymous_id"])

    def _subject(self, message: Mapping[str, Any]) -> _Entity:
        if "as_account" in message:
            return self._resolve("account", message["as_account"])
        user = self._resolve("user", message["as_user"], create=message.get("create", True))
        if "account" not in message:
            return user
        if _clean("account", message["account"]):
            user.account = self._resolve("account", message["account"])
        if user.account is None:
            raise _IgnoredError
        return user.account

    # -- identity ----------------------------------------------------------------------------------------

    def _resolve(self, kind: str, raw: Mapping[str, str], *, create: bool = True) -> _Entity:
        claims = _clean(kind, raw)
        external_id, key, anonymous_id = (claims.get(n) for n in ("external_id", _KEY[kind], "anonymous_id"))
        known = self._holder(kind, external_id)
        by_key = [e for e in self.entities[kind] if key is not None and e.answers_to(key)]
        by_anonymous = [e for e in self.entities[kind] if anonymous_id in e.anonymous_ids]
        if external_id is not None:
            candidates = [known] if known else [e for e in by_key + by_anonymous if e.mergeable]
        else:
            candidates = [e for e in by_key if not e.mergeable] + by_key + by_anonymous
        if not candidates and not create:
            raise _IgnoredError
        primary = candidates[0] if candidates else self._create(kind)
        for other in by_key + by_anonymous:
            if other is not primary and other.mergeable and other in self.entities[kind]:
                self._merge(primary, other)
        self._attach(primary, external_id, key, anonymous_id)
        return primary

    def _holder(self, kind: str, external_id: str | None) -> _Entity | None:
        return next((e for e in self.entities[kind] if external_id is not None and e.external_id == external_id), None)

    def _create(self, kind: str) -> _Entity:
        self.born += 1
        entity = _Entity(kind, self.born)
        self.entities[kind].append(entity)
        return entity

    def _attach(self, entity: _Entity, external_id: str | None, key: str | None, anonymous_id: str | None) -> None:
        if entity.external_id is None:
            entity.external_id = external_id
        if entity.key is None:
            entity.key = key
        held = any(anonymous_id in e.anonymous_ids for e in self.entities[entity.kind])
        if anonymous_id is not None and not held:
            entity.anonymous_ids.append(anonymous_id)

    def _merge(self, recipient: _Entity, absorbed: _Entity) -> None:
        self.merged = True
        self.entities[recipient.kind].remove(absorbed)
        for name, value in absorbed.attributes.items():
            if recipient.attributes.get(name) is None:
                recipient.attributes[name] = value
        recipient.old_keys |= absorbed.old_keys | ({absorbed.key} if absorbed.key is not None else set())
        recipient.key = absorbed.key if recipient.key is None else recipient.key
        recipient.anonymous_ids += absorbed.anonymous_ids
        recipient.account = absorbed.account if recipient.account is None else recipient.account
        recipient.events.update(absorbed.events)
        for user in self.entities["user"]:
            if user.account is absorbed:
                user.account = recipient

    def _alias(self, subject: _Entity, anonymous_id: str) -> None:
        holders = [e for e in self.entities[subject.kind] if anonymous_id in e.anonymous_ids]
        if not holders:
            subject.anonymous_ids.append(anonymous_id)
        elif holders[0] is not subject and holders[0].mergeable:
            self._merge(subject, holders[0])

    def _unalias(self, subject: _Entity, anonymous_id: str) -> None:
        if anonymous_id not in subject.anonymous_ids:
            raise _IgnoredError
        subject.anonymous_ids.remove(anonymous_id)

    # -- attributes and events ---------------------------------------------------------------------------

    def _write(self, entity: _Entity, name: str, value: Any) -> None:
        if name == _KEY[entity.kind]:
            self._write_key(entity, value)
            return
        operation, operand = _operation(value)
        kind = self._type(entity.kind, name, operation, operand)
        current = entity.attributes.get(name)
        if operation in {"inc", "dec"}:
            if kind == "number":
                entity.attributes[name] = (current or 0) + (operand if operation == "inc" else -operand)
        elif operation == "set" or current is None:
            entity.attributes[name] = None if kind is None or operand is None else _CASTS[kind](operand)

    def _write_key(self, entity: _Entity, value: str) -> None:
        key = value.strip().lower()
        if entity.key is not None and entity.mergeable:
            return
        for other in list(self.entities[entity.kind]):
            if entity.mergeable and other is not entity and other.mergeable and other.answers_to(key):
                self._merge(entity, other)
        entity.key = key

    def _type(self, kind: str, name: str, operation: str, value: Any) -> str | None:
        known = self.types.get((kind, name))
        if known is not None or (value is None and not name.endswith(("_at", "_date"))):
            return known
        found = "number" if operation in {"inc", "dec"} else _detect(name, value)
        return self.types.setdefault((kind, name), found)

    def _track(self, user: _Entity, event: str, event_id: str | None) -> None:
        if event_id is None:
            self.unnamed_events += 1
            event_id = f"unnamed {self.unnamed_events}"
        for other in self.entities["user"]:
            other.events.pop(event_id, None)
        user.events[event_id] = event

    # -- segments and figures ----------------------------------------------------------------------------

    def _decide_segments(self) -> None:
        for entity in self._everybody():
            now = frozenset(name for name, rule in _SEGMENTS[entity.kind].items() if rule(entity))
            if now != entity.segments:
                self.entered.update(now - entity.segments)
                self.left.update(entity.segments - now)
                entity.segments = now

    def _everybody(self) -> Iterator[_Entity]:
        yield from self.entities["account"]
        yield from self.entities["user"]

    def figures(self) -> dict[str, Any]:
        users, accounts = self.entities["user"], self.entities["account"]
        return {
            "messages": {name: self.messages[name] for name in ("applied", "merged", "ignored", "failed")},
            "users": len(users),
            "accounts": len(accounts),
            "events": sum(len(user.events) for user in users),
            "segments": {
                name: {"entered": self.entered[name], "left": self.left[name]}
                for rules in _SEGMENTS.values()
                for name in rules
            },
            "written": {
                "users": {name: _lead(user) for user in users if (name := user.external_id or user.key)},
                "accounts": {name: _company(a) for a in accounts if (name := a.external_id or a.key)},
            },
            "dead_letters": 0,
        }


def _clean(kind: str, claims: Mapping[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in claims.items() if value is not None}
    key = _KEY[kind]
    if key in clean:
        clean[key] = clean[key].strip().lower()
    if clean.get("domain") in _NOT_A_COMPANY:
        del clean["domain"]
    return clean


def _operation(value: Any) -> tuple[str, Any]:
    if not isinstance(value, dict) or "operation" not in value:
        return "set", value
    name = _OPERATIONS[value["operation"]]
    return name, value.get("value", 1 if name in {"inc", "dec"} else None)


def _detect(name: str, value: Any) -> str:
    if name.endswith(("_at", "_date")):
        return "date"
    names = {bool: "boolean", int: "number", float: "number", dict: "json", list: "array"}
    return names.get(type(value), "string")


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*[+-]?\d+\s*", value) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _date(value: Any) -> str:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_CASTS: dict[str, Callable[[Any], Any]] = {
    "string": lambda value: None if isinstance(value, list | dict) else str(value),
    "number": _number,
    "boolean": lambda value: value if isinstance(value, bool) else _BOOLEANS.get(str(value).strip().lower()),
    "date": _date,
    "array": lambda value: [str(item) for item in (value if isinstance(value, list) else [value])],
    "json": lambda value: value if isinstance(value, list | dict) else None,
}

_PAYING = {"team", "business"}


def _plan_of_account(user: _Entity) -> Any:
    return None if user.account is None else user.account.get("plan")


_SEGMENTS: dict[str, dict[str, Callable[[_Entity], bool]]] = {
    "user": {
        "Qualified leads": lambda user: user.get("demo_requests", 0) >= 1 and user.get("plan") in {"free", "trial"},
        "Engaged people": lambda user: list(user.events.values()).count("Report viewed") >= 3,
        "People of paying accounts": lambda user: _plan_of_account(user) in _PAYING,
        "Newsletter readers": lambda user: user.get("newsletter") is True,
        "Active since February": lambda user: user.get("last_active_at", "") >= "2024-02-01T00:00:00Z",
    },
    "account": {
        "Paying accounts": lambda account: account.get("plan") in _PAYING,
        "Large accounts": lambda account: account.get("employees", 0) >= 500,
    },
}


def _lead(user: _Entity) -> dict[str, Any]:
    account = _Entity("account", 0) if user.account is None else user.account
    reasons = dict(_points(user, account))
    score = max(0, min(100, sum(reasons.values())))
    grade = "A" if score >= 70 else "B" if score >= 45 else "C" if score >= 20 else "D"
    role = user.get("title", "Unknown role")
    company = account.get("name", account.key)
    owner = account.get("crm/owner", user.get("crm/owner", "nobody yet"))
    summary = f"{role}{f' at {company}' if company else ''}, looked after by {owner}"
    return {
        "leadscore/score": score,
        "leadscore/grade": grade,
        "leadscore/reasons": sorted(reasons),
        "leadscore/summary": summary,
    }


def _points(user: _Entity, account: _Entity) -> Iterator[tuple[str, int]]:
    title, plan, stage = user.get("title", "").lower(), user.get("plan"), user.get("crm/stage")
    if any(word in title for word in ("chief", "founder", "head", "vp")):
        yield "decides", 20
    elif any(word in title for word in ("director", "manager", "lead")):
        yield "advises", 10
    if plan in {"trial", "team", "business"}:
        yield f"plan: {plan}", {"trial": 10, "team": 20, "business": 25}[plan]
    if stage in {"opportunity", "customer", "lost"}:
        yield f"stage: {stage}", {"opportunity": 15, "customer": 10, "lost": -20}[stage]
    yield from _points_of_doing(user)
    yield from _points_of_company(account)


def _points_of_doing(user: _Entity) -> Iterator[tuple[str, int]]:
    demos, visits, reports = (user.get(name, 0) for name in ("demo_requests", "visits", "reports_viewed"))
    if demos > 0:
        yield f"demo requests: {demos}", 10 * min(demos, 2)
    if visits > 0:
        yield f"visits: {visits}", min(visits, 10)
    if reports > 0:
        yield f"reports: {reports}", min(reports, 15)
    if "Newsletter readers" in user.segments:
        yield "reads the newsletter", 3
    if "Engaged people" in user.segments:
        yield "engaged", 10


def _points_of_company(account: _Entity) -> Iterator[tuple[str, int]]:
    employees = account.get("employees", 0)
    if employees >= 50:
        yield "company size", 15 if employees >= 1000 else 10 if employees >= 200 else 5
    if "Paying accounts" in account.segments:
        yield f"account plan: {account.get('plan')}", 10


def _company(account: _Entity) -> dict[str, Any]:
    employees, unpaid = account.get("employees", 0), account.get("invoices_unpaid", 0)
    tier = "enterprise" if employees >= 1000 else "mid-market" if employees >= 100 else "small"
    paying = account.get("mrr", 0) > 0
    health = "at risk" if unpaid > 0 else "healthy" if paying else "prospect"
    return {"leadscore/tier": tier, "leadscore/health": health}
