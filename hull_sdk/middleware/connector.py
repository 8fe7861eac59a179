"""The connector of a request: from the notification, or from the platform through the cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from hull_sdk.context import CONNECTOR_KEY, Context, Credentials
from hull_sdk.core import json
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.errors import ApiError, ConnectorNotFoundError, CredentialsError, OrganizationDisabledError
from hull_sdk.infra import Cache
from hull_sdk.middleware.base import Arrival
from hull_sdk.middleware.legacy import subject_of

__all__ = ["load_connector"]

#: Longest wait for one answer of the platform, in seconds.
FETCH_TIMEOUT_S: Final = 5.0
#: A request waits for its connector, so the tries end early.
FETCH_RETRY: Final = RetryPolicy(base_s=0.5, cap_s=1.0, total_s=5.0)
_NOT_FOUND: Final = 404

#: Refusals that are remembered, by the status of the answer.
_REFUSALS: Final[dict[int, type[CredentialsError]]] = {
    401: CredentialsError,
    402: OrganizationDisabledError,
    _NOT_FOUND: ConnectorNotFoundError,
}


def load_connector(arrival: Arrival) -> None:
    """Put the connector on the context of a request that has credentials.

    Args:
        arrival: The request and its context.

    Raises:
        CredentialsError: The platform refuses the credentials (401), has switched the organization off (402) or
            does not know the connector (404).
        TransientError: The platform could not be asked.
    """
    context = arrival.context
    if context.config is None:
        return
    if subject_of(context) == "ship:update":
        context.internal_cache.delete(CONNECTOR_KEY)
        _refusals(arrival, context.config).delete(CONNECTOR_KEY)
    notification = context.notification
    if notification is not None:
        found: Any = notification.get("connector")
        if isinstance(found, dict):
            context.ship = found
            return
    context.ship = _through_caches(context, _refusals(arrival, context.config))


def _refusals(arrival: Arrival, credentials: Credentials) -> Cache:
    return arrival.extension.refusals.scoped(credentials.namespace)


def _through_caches(context: Context, refusals: Cache) -> dict[str, Any]:
    refused = refusals.get(CONNECTOR_KEY)
    if refused is None:
        try:
            return _kept_or_asked(context)
        except CredentialsError as err:
            refused = {"status": err.status if err.status in _REFUSALS else 401, "reason": err.message}
            refusals.set(CONNECTOR_KEY, refused)
    raise _REFUSALS[refused["status"]](refused["reason"])


def _kept_or_asked(context: Context) -> dict[str, Any]:
    heard: list[dict[str, Any]] = []

    def ask() -> dict[str, str]:
        heard.append(_ask(context))
        return {"connector": json.dumps(heard[0]).decode()}

    found = context.internal_cache.wrap(CONNECTOR_KEY, ask)
    # Who has just heard it from the platform need not read it again: what is kept is a text, and changes no more.
    ship: dict[str, Any] = heard[0] if heard else json.loads(found["connector"])
    return ship


def _ask(context: Context) -> dict[str, Any]:
    connector_id = context.credentials().id
    # A last try that begins at the half of a short deadline has the other half for its answer.
    most_s = context.remaining_s() / 2
    retry = FETCH_RETRY if FETCH_RETRY.total_s <= most_s else replace(FETCH_RETRY, total_s=most_s)
    try:
        ship: dict[str, Any] = context.client.get(connector_id, timeout_s=min(FETCH_TIMEOUT_S, most_s), retry=retry)
    except ApiError as err:
        if err.status != _NOT_FOUND:
            raise
        raise ConnectorNotFoundError(f"Connector not found: {connector_id!r}") from err
    return ship
