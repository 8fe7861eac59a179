"""Customer.io's Track API, in the same requests as Customer.io's own library for Python makes."""

from __future__ import annotations

import os
from typing import Any, Final

from requests.auth import HTTPBasicAuth

from customerio_connector.settings import PrivateSettings
from hull_sdk import Context
from hull_sdk.errors import ApiError, TransientError
from hull_sdk.service import ServiceSession, UrlTemplate

__all__ = ["CustomerioApi"]

_URLS: Final = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
#: Calls for each workspace in a second, by all processes together.
DEFAULT_CALLS_PER_S: Final = 30
#: A call waits so long for its turn, and so long for its answer, in seconds.
TURN_S: Final = 5.0
ANSWER_S: Final = 8.0
_NOT_FOUND: Final = 404


class CustomerioApi:
    """Calls to one workspace.

    A call that fails in a way that may pass raises ``TransientError``; it may have arrived, and changes nothing when it
    is repeated.

    Args:
        ctx: The context of the connector.
        settings: Its settings, with the credentials.
    """

    def __init__(self, ctx: Context, settings: PrivateSettings) -> None:
        self._ctx = ctx
        url = os.environ.get("CUSTOMERIO_URL", _URLS[settings["region"]])
        calls = int(os.environ.get("CUSTOMERIO_CALLS_PER_S", DEFAULT_CALLS_PER_S))
        limit = ctx.rate_limit(f"customerio/{settings['site_id']}", calls=calls, per_s=1, wait_s=TURN_S)
        # The notification comes again; within one its calls are tried once.
        self._session = ServiceSession(
            url, timeout_s=ANSWER_S, retries=0, runtime=ctx.runtime, metric=ctx.metric, limit=limit
        )
        # As bytes, so that a key with a wrong letter in it is refused by Customer.io and not by the library.
        site_id, api_key = (settings["site_id"] or "").encode(), (settings["api_key"] or "").encode()
        self._session.auth = HTTPBasicAuth(site_id, api_key)

    def check(self) -> None:
        """Ask whether the credentials are right.

        Raises:
            ConfigurationError: They are not.
        """
        self._session.get("/auth")

    def put(self, customer_id: str, attributes: dict[str, Any]) -> None:
        """Create or change a person.

        Args:
            customer_id: What identifies it.
            attributes: No more than ``CUSTOMER_ATTRIBUTES``; others keep their values.

        Raises:
            ApiError: It is refused for good.
        """
        self._call("PUT", UrlTemplate("/api/v1/customers/{id}", id=customer_id), attributes)

    def delete(self, customer_id: str) -> None:
        """Delete a person; one that is not there is no error.

        Args:
            customer_id: What identifies it.
        """
        try:
            self._call("DELETE", UrlTemplate("/api/v1/customers/{id}", id=customer_id), {})
        except ApiError as err:
            if err.status != _NOT_FOUND:
                raise

    def track(self, customer_id: str, event: dict[str, Any]) -> None:
        """Send an event of a person.

        Args:
            customer_id: Whose.
            event: With an ``id``, under which Customer.io takes it once.

        Raises:
            ApiError: It is refused for good.
        """
        self._call("POST", UrlTemplate("/api/v1/customers/{id}/events", id=customer_id), event)

    def track_anonymous(self, anonymous_id: str, event: dict[str, Any]) -> None:
        """Send an event of somebody unknown.

        Args:
            anonymous_id: Whose; a person that gets it as an attribute gets the event too.
            event: As of :meth:`track`.

        Raises:
            ApiError: It is refused for good.
        """
        self._call("POST", "/api/v1/events", {**event, "anonymous_id": anonymous_id})

    def _call(self, method: str, path: str, body: dict[str, Any]) -> None:
        if self._ctx.remaining_s() < TURN_S + ANSWER_S:
            raise TransientError("there was no time left for further calls")
        self._session.request(method, path, json=body)
