"""What views say of themselves: who may call them, how long they take, and how they ask to be called again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, update_wrapper
from typing import Any, Final, TypeVar, cast

from hull_sdk.core.checks import is_whole
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.middleware.options import checked_seconds

__all__ = ["Marks", "answer_within", "come_again_with", "in_one_thread", "marks_of", "takes_state", "takes_webhooks"]

_ATTRIBUTE: Final = "hull_marks"

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a view says of itself.

    Args:
        takes_state: ``True`` where an authorization comes back to.
        takes_webhooks: ``True`` where other services call.
        retry_status: Status of the answer to a ``TransientError``; ``None`` for that of the table of outcomes.
        timeout_s: Deadline of its requests, in seconds; the application's when ``None``.
        one_thread: ``True`` where all about a notification runs in the thread of its handler.
    """

    takes_state: bool = False
    takes_webhooks: bool = False
    retry_status: int | None = None
    timeout_s: float | None = None
    one_thread: bool = False


_NONE: Final = Marks()


def marks_of(view: Callable[..., Any] | None) -> Marks:
    """Return what a view says of itself.

    Args:
        view: A view, or ``None`` where there is none.
    """
    marks: Marks = getattr(view, _ATTRIBUTE, _NONE)
    return marks


def takes_state(view: View) -> View:
    """Let the ``state`` in the query of a view be a token: credentials that were made for an authorization.

    For a callback of your own; :func:`hull_sdk.handlers.oauth_handler` has one. Send the browser away with
    ``state=ctx.token_for("oauth")``; the view's context then has the credentials. The token is good for ten minutes, in
    any browser and as often as it is shown: bind it to the browser and count it once yourself.

    Example::

        @app.get("/connected")
        @takes_state
        def connected(): ...

    Args:
        view: Where other services lead back to.

    Returns:
        The view, or a function that calls it where a mark cannot be set, as on a method of an object.

    Raises:
        InvalidArgumentError: ``view`` is no function.
    """
    return _marked(_checked_view(view, "takes_state"), takes_state=True)


def takes_webhooks(view: View) -> View:
    """Let the tokens of webhook addresses, which other services have, open a view; they open nothing else.

    For a view of your own; handlers of webhooks have ``webhook=True``. Give the other service an address with
    ``token=ctx.token_for("webhook")`` in its query; the view's context then has the credentials.

    Example::

        @app.post("/webhook")
        @takes_webhooks
        def webhook(): ...

    Args:
        view: What the other service calls.

    Returns:
        As :func:`takes_state`.

    Raises:
        InvalidArgumentError: ``view`` is no function.
    """
    return _marked(_checked_view(view, "takes_webhooks"), takes_webhooks=True)


def _checked_view(view: View, taker: str) -> View:
    if not callable(view):
        raise InvalidArgumentError(f"{taker} got {view!r}; pass a view")
    return view


def come_again_with(status: int | None, view: View) -> View:
    """Have a view ask its callers in its own way to come again.

    Args:
        status: Of the answer to a ``TransientError`` that brings none, also one from before the view ran; ``None`` for
            that of the table of outcomes.
        view: What they call.

    Returns:
        As :func:`takes_state`.

    Raises:
        InvalidArgumentError: The status does not say that something failed.
    """
    if status is None:
        return view
    if not is_whole(status, 400, 599):
        raise InvalidArgumentError(
            f"retry_status is {status!r}; pass a status from 400 to 599, for example 503, or None"
        )
    return _marked(view, retry_status=status)


def answer_within(timeout_s: float | None, view: View) -> View:
    """Give the requests of a view a deadline of their own, which counts from their beginning.

    Args:
        timeout_s: Seconds; ``None`` for the connector's.
        view: Answers them.

    Returns:
        As :func:`takes_state`.

    Raises:
        InvalidArgumentError: It is no number of seconds.
    """
    return view if timeout_s is None else _marked(view, timeout_s=checked_seconds("timeout_s", timeout_s))


def in_one_thread(view: View) -> View:
    """Have all about the notifications of a view run in the thread of their handler.

    Args:
        view: Answers them; it calls the handler through ``run_in_time`` of ``hull_sdk.flask_thread``.

    Returns:
        As :func:`takes_state`.
    """
    return _marked(view, one_thread=True)


def _marked(view: View, **changes: Any) -> View:
    marks = replace(marks_of(view), **changes)
    try:
        setattr(view, _ATTRIBUTE, marks)
    except AttributeError:  # methods of objects, for example
        marked = update_wrapper(partial(view), view)
        setattr(marked, _ATTRIBUTE, marks)
        return cast("View", marked)
    return view
