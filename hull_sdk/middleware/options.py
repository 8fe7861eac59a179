"""The options of ``Connector`` and ``Middleware``, checked where they are written down, before any request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.client import Client, SenderPool
from hull_sdk.core.checks import is_number, is_whole
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError

__all__ = ["checked_client_config", "checked_count", "checked_instance", "checked_seconds", "checked_text", "switches"]

#: Options of ``Client`` that come with each request.
_EACH_REQUEST: Final = frozenset(
    {"id", "secret", "organization", "request_id", "runtime", "senders", "outbox", "message_ids"}
)
#: A connector that nobody has, to try options out with.
_NOBODY: Final[dict[str, Any]] = {"id": "0" * 24, "secret": "none", "organization": "acme.hullapp.io"}


def checked_client_config(config: Any) -> dict[str, Any]:
    """Check the option ``client_config``.

    Args:
        config: Options of ``Client`` by name, or ``None``.

    Raises:
        InvalidArgumentError: An option is unknown, has a wrong value, or belongs to each request.
    """
    options = {} if config is None else dict(checked_instance("client_config", config, Mapping, "a dict"))
    own = sorted(_EACH_REQUEST & options.keys())
    if own:
        raise InvalidArgumentError(f"client_config holds {', '.join(own)}, which each request brings; leave it out")
    try:
        Client(**_NOBODY, **options, senders=SenderPool(Runtime.system()))
    except TypeError as err:
        raise InvalidArgumentError(f"client_config does not fit Client: {err}") from err
    except InvalidArgumentError as err:
        raise InvalidArgumentError(f"in client_config: {err.message}") from err
    return options


def checked_count(name: str, value: Any, most: int | None = None) -> int:
    """Check an option that is a number of things.

    Args:
        name: The option.
        value: The number.
        most: The largest one allowed; ``None`` for any.

    Raises:
        InvalidArgumentError: It is no whole number of at least 1, or too large.
    """
    if not is_whole(value, 1, math.inf if most is None else most):
        rule = "of at least 1" if most is None else f"from 1 to {most}"
        raise InvalidArgumentError(f"{name} is {value!r}; it must be a whole number {rule}")
    return value


def checked_seconds(name: str, value: Any) -> float:
    """Check an option that is a time.

    Args:
        name: The option.
        value: A number of seconds.

    Raises:
        InvalidArgumentError: It is no finite number above 0.
    """
    if not is_number(value, above=0):
        raise InvalidArgumentError(f"{name} is {value!r}; it must be a number of seconds above 0")
    return value


def checked_text(name: str, value: Any) -> str | None:
    """Check an option that is text.

    Args:
        name: The option.
        value: Text, or ``None``.

    Raises:
        InvalidArgumentError: It is something else, or empty.
    """
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InvalidArgumentError(f"{name} is {value!r}; pass text, or leave it out")
    return value


def checked_instance(name: str, value: Any, kind: Any, wanted: str) -> Any:
    """Check an option that is an object.

    Args:
        name: The option.
        value: The object, or ``None``.
        kind: Its class, or several joined by ``|``.
        wanted: The same in words, for example ``"a Cache of hull_sdk.infra"``.

    Raises:
        InvalidArgumentError: It is something else.
    """
    if value is not None and not isinstance(value, kind):
        raise InvalidArgumentError(f"{name} is of type {type(value).__name__}; pass {wanted}, or leave it out")
    return value


def switches(**values: Any) -> dict[str, bool]:
    """Check options that are on or off.

    Args:
        **values: The options by name.

    Raises:
        InvalidArgumentError: One is neither ``True`` nor ``False``, for example the text ``"false"``.
    """
    for name, value in values.items():
        if not isinstance(value, bool):
            raise InvalidArgumentError(f"{name} is {value!r}; pass True or False")
    return values
