"""What all handlers share: a blueprint with one address, and calls of plain and ``async`` functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any, Final, Protocol

from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

from hull_sdk.context.current import current
from hull_sdk.core.futures import running_loop
from hull_sdk.core.ids import SystemIds
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.errors import InvalidArgumentError

__all__ = ["AnyFunction", "Defined", "call", "check_callable", "endpoint", "takes_batch"]

#: A function with so many positional parameters has one for the call of a batch extract.
_BATCH_PARAMETERS: Final = 3
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Defined(Protocol):
    """What a type checker knows of the values of a dict that holds functions of different shapes."""

    @property
    def __code__(self) -> CodeType:
        """The code of a function."""
        ...


#: Any function: a type checker need not see that the values of a dict, kept in a variable, can be called.
AnyFunction = Callable[..., Any] | Defined


def endpoint(kind: str, view: Callable[[], ResponseReturnValue], methods: list[str]) -> Blueprint:
    """Return a blueprint that answers at its prefix, with and without a slash at the end.

    Args:
        kind: Beginning of its name, for example ``"hull_action"``; the rest makes it unique.
        view: Answers the requests.
        methods: HTTP methods, for example ``["POST"]``.
    """
    blueprint = Blueprint(f"{kind}_{SystemIds().object_id()}", __name__)
    blueprint.record(lambda state: _add_rules(state, view, methods))
    return blueprint


def _add_rules(state: BlueprintSetupState, view: Callable[[], ResponseReturnValue], methods: list[str]) -> None:
    # Two rules instead of a redirect, which a POST does not survive.
    for rule in ("/", "") if state.url_prefix else ("/",):
        state.add_url_rule(rule, "handle", view, methods=methods)


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of the connector; what an ``async def`` function returns is waited for.

    Within an ``async`` function, whose event loop cannot run a second one, that takes place in a thread of its own.

    Args:
        function: What to call.
        *args: Its arguments.
    """
    result = function(*args)
    if not inspect.iscoroutine(result):
        return result
    import asyncio  # noqa: PLC0415 - loaded already, or the function awaits nothing but us

    if running_loop() is None:
        return asyncio.run(result)
    context = current.get()
    tasks = ThreadTasks() if context is None else context.runtime.tasks
    return tasks.apart(asyncio.run, result)


def check_callable(function: Any, where: str) -> None:
    """Refuse what cannot be called.

    Args:
        function: What the developer passed.
        where: Its place, for the message.

    Raises:
        InvalidArgumentError: It is no function.
    """
    if not callable(function):
        raise InvalidArgumentError(f"{where} is {function!r}; pass a function")


def takes_batch(function: Callable[..., Any]) -> bool:
    """Tell whether a function of a channel names a third parameter; ``False`` when that cannot be known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return sum(parameter.kind in _POSITIONAL for parameter in parameters) >= _BATCH_PARAMETERS
