"""Import jobs: what was asked for, how far it is, and which lines could not be taken.

Rules: section "Imports" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hull_sdk.core.checks import is_whole
from hull_sdk.core.clock import iso_millis
from hull_sdk.core.net import Request
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.checks import check_known, checked_moment
from hull_sdk.platform.import_records import DataSet

__all__ = ["ImportJob", "ImportOptions", "LineError", "read_options"]

#: What the request for an import may hold.
_KNOWN_KEYS: Final = (
    "url",
    "format",
    "notify",
    "emit_event",
    "emit_events",
    "overwrite",
    "name",
    "schedule_at",
    "stats",
    "size",
    "import_id",
    "part_number",
    "dedupe",
)
#: Lines whose errors a job keeps; all of them are counted.
_KEPT_ERRORS: Final = 10_000
#: Errors that the job itself shows; the others are read page by page.
_SHOWN_ERRORS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What somebody asked for.

    Args:
        notify: ``True`` has connectors told of what the import changes.
        emit_event: ``True`` has the platform make its own events for it.
        overwrite: ``False`` leaves values that are there already.
        name: A label, or ``None``.
        schedule_at: Unix seconds before which it does not begin, or ``None``.
        size: How many records are announced, or ``None``.
        import_id: What its parts have in common, or ``None``.
        part_number: Which part it is, or ``None``.
    """

    notify: bool = False
    emit_event: bool = False
    overwrite: bool = True
    name: str | None = None
    schedule_at: float | None = None
    size: int | None = None
    import_id: str | None = None
    part_number: int | None = None


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that could not be taken: its number from 1, a code, and the reason."""

    line: int
    code: str
    reason: str

    def to_wire(self) -> dict[str, Any]:
        """Return the error as plain data."""
        return {"line": self.line, "code": self.code, "reason": self.reason}


@dataclass(eq=False, slots=True, kw_only=True)
class ImportJob:
    """One import.

    Args:
        id: 24 hexadecimal characters.
        data_set: ``"users"``, ``"accounts"`` or ``"events"``.
        connector_id: Who asked; ``None`` for the operator.
        request: Fetches the file.
        options: What was asked for.
        created_at: Unix seconds of domain time.
        asked_at: Unix seconds of the real clock; its records count as written then.
        state: ``"queued"``, ``"running"``, ``"completed"`` or ``"failed"``.
        reason: Why it failed, or is tried again; ``None`` otherwise.
        attempts: How often the file was asked for.
        number: Number of the last line that was read, blank ones included; from there it goes on.
        lines: Records read so far.
        counts: How many of them were applied, skipped and failed.
        errors: The first of those that failed or were skipped.
    """

    id: str
    data_set: DataSet
    connector_id: str | None
    request: Request
    options: ImportOptions
    created_at: float
    asked_at: float
    state: str = "queued"
    reason: str | None = None
    attempts: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    number: int = 0
    lines: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"applied": 0, "skipped": 0, "failed": 0})
    errors: list[LineError] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """``True`` when nothing more happens."""
        return self.state in {"completed", "failed"}

    def wait_again(self) -> None:
        """Be queued once more: its file is fetched again, and read on from the line where it was."""
        self.state, self.attempts = "queued", 0

    def count(self, outcome: str, error: LineError | None = None) -> None:
        """Count a line.

        Args:
            outcome: ``"applied"``, ``"skipped"`` or ``"failed"``.
            error: Why it was not applied.
        """
        self.lines += 1
        self.counts[outcome] += 1
        if error is not None and len(self.errors) < _KEPT_ERRORS:
            self.errors.append(error)

    def to_wire(self) -> dict[str, Any]:
        """Return the job as the REST API shows it; the file's address, which may be a key, is left out."""
        options = self.options
        size = options.size
        return {
            "id": self.id,
            "type": "import",
            "data_set": self.data_set,
            "name": options.name,
            "connector_id": self.connector_id,
            "state": self.state,
            "reason": self.reason,
            "attempts": self.attempts,
            "progress": {
                "lines": self.lines,
                **self.counts,
                "size": size,
                "ratio": 1.0 if self.state == "completed" else min(self.lines / size, 1.0) if size else None,
            },
            "errors": [each.to_wire() for each in self.errors[:_SHOWN_ERRORS]],
            "notify": options.notify,
            "emit_event": options.emit_event,
            "overwrite": options.overwrite,
            "import_id": options.import_id,
            "part_number": options.part_number,
            "created_at": iso_millis(self.created_at),
            "schedule_at": _moment(options.schedule_at),
            "started_at": _moment(self.started_at),
            "finished_at": _moment(self.finished_at),
        }


def read_options(body: Mapping[str, Any]) -> ImportOptions:
    """Check what an import's request asks for.

    Args:
        body: For example ``{"url": "https://files.acme.test/1.json.gz", "notify": True, "overwrite": False}``.

    Returns:
        The options; the address is checked elsewhere.

    Raises:
        InvalidArgumentError: A value breaks a rule; the message names both.
    """
    check_known(body, _KNOWN_KEYS, " in an import")
    if body.get("format", "json") != "json":
        raise InvalidArgumentError(
            f"the format is {body['format']!r:.100}; only 'json' is understood, an object a line"
        )
    stats, when = body.get("stats"), body.get("schedule_at")
    size = body.get("size", stats.get("size") if isinstance(stats, Mapping) else None)
    return ImportOptions(
        notify=_flag(body, "notify", default=False),
        emit_event=_flag(body, "emit_event" if "emit_event" in body else "emit_events", default=False),
        overwrite=_flag(body, "overwrite", default=True),
        name=_text("name", body.get("name")),
        schedule_at=None if when is None else checked_moment("schedule_at", when).timestamp(),
        size=_number("size", size),
        import_id=_text("import_id", body.get("import_id")),
        part_number=_number("part_number", body.get("part_number")),
    )


def _flag(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{name} is {value!r:.100}; it must be true or false")
    return value


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidArgumentError(f"{name} is {value!r:.100}; it must be text")
    return value


def _number(name: str, value: Any) -> int | None:
    if value is not None and not is_whole(value, 0):
        raise InvalidArgumentError(f"{name} is {value!r:.100}; it must be a whole number of at least 0")
    return value


def _moment(moment: float | None) -> str | None:
    return None if moment is None else iso_millis(moment)
