"""What somebody may ask of an extract or a search: checked once, with errors that say what to send instead.

Rules: section "Extracts" of ``docs/protocol.md``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.connectors import Connector, path_on
from hull_sdk.platform.query import Query, compile_query
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.rows import FORMATS

__all__ = ["checked_fields", "checked_format", "checked_query", "checked_url"]


def checked_query(kind: EntityKind, query: Any) -> Query:
    """Return the compiled query of users or accounts; ``None`` is everybody.

    Raises:
        InvalidArgumentError: It breaks a rule, which the message names.
    """
    compiled = compile_query({} if query is None else query)
    if kind == "account" and compiled.uses_events:
        raise InvalidArgumentError("the query asks for events; accounts have no events")
    return compiled


def checked_format(value: Any) -> str:
    """Return the format of a file.

    Raises:
        InvalidArgumentError: It breaks a rule, which the message names.
    """
    if value not in FORMATS:
        raise InvalidArgumentError(f"the format is {value!r:.100}; use one of {', '.join(FORMATS)}")
    return str(value)


def checked_fields(value: Any) -> tuple[str, ...]:
    """Return the report fields that somebody wants, each once; none means all.

    Raises:
        InvalidArgumentError: It breaks a rule, which the message names.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
        raise InvalidArgumentError(f"fields is {value!r:.200}; it must be a list of report fields, empty for all")
    return tuple(dict.fromkeys(value))


def checked_url(connector: Connector, url: Any) -> str:
    """Return where a connector is called, on its own host.

    Raises:
        InvalidArgumentError: It breaks a rule, which the message names.
    """
    if connector.url is None:
        raise InvalidArgumentError(f"the connector {connector.name!r} has no url; install it with one to send extracts")
    if not isinstance(url, str) or "://" not in url.partition("?")[0]:
        raise InvalidArgumentError("the extract's url must be an absolute URL on the connector's host")
    own = urlsplit(connector.url)
    try:
        return path_on(connector.url, url)
    except InvalidArgumentError:
        raise InvalidArgumentError(
            f"the extract's url leads away from the connector; it must be on {own.scheme}://{own.netloc}"
        ) from None
