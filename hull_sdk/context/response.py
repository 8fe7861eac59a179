"""What a handler says about the next notification.

Rules: section "Flow control" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.flow_control import FlowControl

__all__ = ["SmartNotifierResponse"]


class SmartNotifierResponse:
    """What a handler says about the next notification."""

    def __init__(self) -> None:
        #: ``None`` until the handler sets one.
        self.flow_control: FlowControl | None = None
        self._least_ms = 0.0

    def __repr__(self) -> str:
        return f"SmartNotifierResponse({self.flow_control!r})"

    def set_flow_control(
        self,
        wire: Mapping[str, Any] | FlowControl | None = None,
        *,
        type: Literal["next", "retry"] | None = None,  # noqa: A002 - the wire's name
        size: int | None = None,
        in_ms: float | None = None,
        at: float | str | None = None,
    ) -> None:
        """Say when and how the platform sends the next notification.

        Args:
            wire: The wire's form, for example ``{"type": "next", "size": 100, "in": 5000}``, instead of the
                other arguments.
            type: ``"next"``: these messages are done; ``"retry"``: send them again.
            size: Messages in the next notification; the platform keeps its size when ``None``.
            in_ms: Pause in milliseconds.
            at: Unix seconds or ISO 8601, instead of a pause.

        Raises:
            InvalidArgumentError: A value breaks a rule, or neither ``in_ms`` nor ``at`` was given.
        """
        if wire is None:
            given = {"type": type, "size": size, "in": in_ms, "at": at}
            wire = {key: value for key, value in given.items() if value is not None}
        elif (type, size, in_ms, at) != (None, None, None, None):
            raise InvalidArgumentError("set_flow_control takes the wire's dict or keyword arguments, not both")
        self.flow_control = wire if isinstance(wire, FlowControl) else FlowControl.parse(wire)

    def wait_at_least(self, in_ms: float) -> None:
        """Have the next notification come no sooner, whatever pause was set; of several calls the longest counts.

        Args:
            in_ms: Pause in milliseconds.
        """
        self._least_ms = max(self._least_ms, in_ms)

    def control(self, default: FlowControl) -> FlowControl:
        """Return what is answered.

        Args:
            default: What counts when the handler set nothing.
        """
        control = default if self.flow_control is None else self.flow_control
        if control.in_ms is None or control.in_ms >= self._least_ms:
            return control
        return replace(control, in_ms=self._least_ms)
