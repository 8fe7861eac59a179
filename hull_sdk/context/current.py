"""The context that the calling code works for, in requests, handlers, jobs and the threads they start."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from hull_sdk.errors import InvalidArgumentError

if TYPE_CHECKING:
    from hull_sdk.context.context import Context

__all__ = ["current", "current_context"]

#: Set by ``Context.active``.
current: ContextVar[Context | None] = ContextVar("hull_current_context", default=None)


class _CurrentContext:
    """Stands for the context of the request, notification or job that the caller works for."""

    __slots__ = ()

    def _target(self) -> Context:
        context = current.get()
        if context is None:
            raise InvalidArgumentError(
                "there is no current context: use current_context inside a request, a handler or a job, "
                "and ctx.submit instead of a thread of your own"
            )
        return context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._target(), name, value)

    def __bool__(self) -> bool:
        return current.get() is not None

    def __eq__(self, other: object) -> bool:
        return other is self or other is current.get()

    def __hash__(self) -> int:
        return hash(current.get())

    def __repr__(self) -> str:
        context = current.get()
        return "<no current context>" if context is None else repr(context)


#: The context of the request, notification or job that the calling code works for.
current_context: Context = cast("Context", _CurrentContext())
