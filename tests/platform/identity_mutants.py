"""Ten mistakes that somebody could make in the rules of identity, each a change of one place of the source."""

from __future__ import annotations

__all__ = ["MUTANTS"]

#: What is wrong, the text that is there, and what is put in its place.
MUTANTS: dict[str, tuple[str, str]] = {
    "an external_id counts for more than an id": (
        "return self.by_id if self.by_id is not None else self.by_external_id",
        "return self.by_external_id if self.by_external_id is not None else self.by_id",
    ),
    "a user with an external_id is merged into another": (
        "return [other for other in others.values() if other.mergeable]",
        "return list(others.values())",
    ),
    "a new external_id takes over somebody else's user by e-mail": (
        "return _first(match for match in self._weak_matches() if match.mergeable)",
        "return _first(self._weak_matches())",
    ),
    "an e-mail finds those without an external_id first": (
        "return _first([*with_external_id, *self._weak_matches()])",
        "return _first([*self._weak_matches(), *with_external_id])",
    ),
    "an anonymous_id counts for more than an e-mail": (
        "return [*self.by_handle, *anonymous]",
        "return [*anonymous, *self.by_handle]",
    ),
    "id and external_id of two users merge other matches into one of them": (
        "if self._contradicts():\n            return []",
        "if self._contradicts():\n            pass",
    ),
    "an external_id is replaced by another one": (
        "if primary is None or primary.external_id is None:\n            return claimed",
        "if primary is None or primary.external_id != claimed:\n            return claimed",
    ),
    "a claimed e-mail replaces the one that is there": (
        "if not handles:\n            return claimed",
        "if claimed not in handles:\n            return claimed",
    ),
    "somebody is created although creating is off": (
        "if primary is None and not create:",
        "if primary is None and create is None:",
    ),
    "an e-mail as attribute changes without an external_id": (
        "if entity.handle is not None and entity.mergeable:",
        "if entity.handle is not None and not entity.mergeable:",
    ),
}
