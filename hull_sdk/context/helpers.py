"""The functions of ``hull_sdk.helpers`` as a context has them: bound to it, so without their first argument.

Only their shapes stand here; what each does is documented where it is defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from hull_sdk.wire.entities import EntityKind

__all__ = ["Helpers"]


class Helpers(Protocol):
    """The helpers of a context, for example ``ctx.helpers.update_settings({"last_sync": 1704448800})``."""

    def update_settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """See :func:`hull_sdk.helpers.update_settings`."""
        ...

    def filter_notification(self, message: Mapping[str, Any], setting: str | None = None) -> bool:
        """See :func:`hull_sdk.helpers.filter_notification`."""
        ...

    def request_extract(
        self,
        *,
        segment: Mapping[str, Any] | str | None = None,
        format: str = "json",  # noqa: A002 - the name that the wire gives it
        path: str = "batch",
        fields: Iterable[str] = (),
        additional_query: Mapping[str, Any] | None = None,
        kind: EntityKind | None = None,
    ) -> Any:
        """See :func:`hull_sdk.helpers.request_extract`."""
        ...

    def handle_extract(
        self,
        *,
        url: str,
        format: str,  # noqa: A002 - as above
        on_rows: Callable[[list[dict[str, Any]]], Any],
        batch_size: int = 100,
        batch_bytes: int = ...,
    ) -> int:
        """See :func:`hull_sdk.helpers.handle_extract`."""
        ...
