"""Clients that act for somebody: a user, an account, or a user and the account to link.

Rules: sections "Claims", "Tokens" and "Firehose" of ``docs/protocol.md``. A scoped client is light: make one per
user and call, they all share one sender.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hull_sdk.client.backlog import FlushResult
from hull_sdk.client.connection import Connection
from hull_sdk.client.logs import ConnectorLogger, log_context
from hull_sdk.client.properties import Properties
from hull_sdk.client.scope import Scope, checked_scopes
from hull_sdk.client.sender import FLUSH_TIMEOUT_S
from hull_sdk.client.settings import Settings
from hull_sdk.client.traits import Traits, checked_attributes
from hull_sdk.client.verbs import Verbs
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.tasks import Future
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.entities import Claims, claims_of

__all__ = ["AccountClient", "ApiClient", "EntityClient", "UserClient", "Utils"]


class Utils:
    """``client.utils``: what connectors need again and again.

    Args:
        client: Whose requests are used.
    """

    def __init__(self, client: ApiClient) -> None:
        #: Groups and normalizes attributes.
        self.traits: Traits = Traits()
        #: Lists the attributes that the organization knows.
        self.properties: Properties = Properties(client.get)
        #: Writes the connector's settings.
        self.settings: Settings = Settings(client._connection.transport)  # noqa: SLF001 - one class in two parts


class ApiClient(Verbs):
    """What every client can do: requests to the API, acting for somebody, logging.

    Args:
        connection: Shared with the client it came from.
        scope: For whom it acts; ``None`` is the connector itself.
    """

    __slots__ = ("_connection", "_scope")

    def __init__(self, connection: Connection, scope: Scope | None = None) -> None:
        self._connection = connection
        self._scope = scope

    def __repr__(self) -> str:
        config = self._connection.config
        return f"{type(self).__name__}(id={config.id!r}, organization={config.organization!r})"

    @property
    def logger(self) -> ConnectorLogger:
        """Standard logging with this client's identity beside each line."""
        return ConnectorLogger(log_context(self._connection.config, self._scope), self._connection)

    @property
    def utils(self) -> Utils:
        """Helpers: ``utils.traits.group``, ``utils.properties.get``, ``utils.settings.update``."""
        return Utils(self)

    def configuration(self) -> dict[str, Any]:
        """Return everything this client was made with, the secret included.

        Returns:
            A new dict, copied to the bottom, whose ``repr`` shows neither secret nor token: ``id``, ``secret``,
            ``organization``, ``protocol``, ``prefix``, ``namespace``, ``domain``, ``firehose_url``, ``api_url``,
            ``flush_at``, ``flush_after_ms``, ``version``, and what is set of ``request_id``, ``connector_name``,
            ``subject_type``, ``user_claim``, ``account_claim``, ``additional_claims`` and ``access_token``; ``logs``
            and ``firehose_events`` hold what was captured.
        """
        found = self._connection.configuration()
        if self._scope is not None:
            found["subject_type"] = self._scope.subject_type
            found["access_token"] = self._token()
            claims = {"user_claim": self._scope.user, "account_claim": self._scope.account}
            claims["additional_claims"] = self._scope.additional_claims
            found.update({name: dict(value) for name, value in claims.items() if value})
        return found

    def as_user(
        self,
        claims: str | Mapping[str, Any],
        *,
        create: bool = True,
        active: bool = False,
        scopes: Sequence[str] | None = None,
    ) -> UserClient:
        """Return a client that acts for a user.

        Args:
            claims: A user's id, or a dict with ``id``, ``external_id``, ``email`` or ``anonymous_id``; a whole
                user may be passed, other keys are left out.
            create: ``False``: a user that is not found is not created.
            active: ``True``: the user goes to the fast lane.
            scopes: For example ``["admin"]``: act with these rights.

        Returns:
            A light client that shares this one's sender.

        Raises:
            InvalidArgumentError: There is no identifier among the claims.

        Example:
            ``client.as_user({"email": "ann@acme.test"}).traits({"plan": "pro"})``
        """
        return UserClient(self._connection, self._new_scope(claims_of("user", claims), None, create, active, scopes))

    def as_account(
        self,
        claims: str | Mapping[str, Any],
        *,
        create: bool = True,
        active: bool = False,
        scopes: Sequence[str] | None = None,
    ) -> AccountClient:
        """Return a client that acts for an account.

        Args:
            claims: An account's id, or a dict with ``id``, ``external_id``, ``domain`` or ``anonymous_id``.
            create: ``False``: an account that is not found is not created.
            active: Written into the token.
            scopes: Written into the token.

        Returns:
            A light client that shares this one's sender.

        Raises:
            InvalidArgumentError: There is no identifier among the claims.
        """
        account = claims_of("account", claims)
        return AccountClient(self._connection, self._new_scope(None, account, create, active, scopes))

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> FlushResult:
        """Send what waits now and wait for the outcome.

        Args:
            timeout_s: Longest wait in seconds; it never waits longer.

        Returns:
            ``sent``, ``failed`` and ``pending`` messages and the ``errors``, counted since the last flush, of
            everything that shares this client's sender.
        """
        return self._connection.flush(timeout_s)

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        timeout_s: float | None,
        retry: RetryPolicy | None,
    ) -> Any:
        token = None if self._scope is None else self._token()
        return self._connection.transport.request(method, path, params, token=token, timeout_s=timeout_s, retry=retry)

    def _token(self) -> str | None:
        return None if self._scope is None else self._scope.token(self._connection.runtime.clock.time())

    def _new_scope(self, user: Claims | None, account: Claims | None, create: Any, active: Any, scopes: Any) -> Scope:
        _check_flag("create", create)
        _check_flag("active", active)
        config = self._connection.config
        return Scope(
            issuer=config.id,
            secret=config.secret,
            subject_type="account" if user is None else "user",
            user=user,
            account=account,
            create=create,
            active=active,
            scopes=checked_scopes(scopes),
        )


class EntityClient(ApiClient):
    """What clients for users and for accounts have in common; its requests to the API carry its token.

    Args:
        connection: Shared with the client it came from.
        scope: For whom it acts.
    """

    __slots__ = ("_entity",)

    def __init__(self, connection: Connection, scope: Scope) -> None:
        ApiClient.__init__(self, connection, scope)
        self._entity = scope

    def __repr__(self) -> str:
        return f"<{type(self).__name__} user={self._entity.user} account={self._entity.account}>"

    def token(
        self, *, create: bool | None = None, active: bool | None = None, scopes: Sequence[str] | None = None
    ) -> str:
        """Return this client's access token, signed with the connector's secret.

        Args:
            create: As in :meth:`ApiClient.as_user`; by default what this client was made with.
            active: The same.
            scopes: The same.

        Raises:
            InvalidArgumentError: An argument is of another type.
        """
        scope = self._entity
        if (create, active, scopes) != (None, None, None):
            _check_flag("create", True if create is None else create)
            _check_flag("active", False if active is None else active)
            scope = scope.with_claims(create=create, active=active, scopes=checked_scopes(scopes))
        return scope.token(self._connection.runtime.clock.time())

    def traits(self, attributes: Mapping[str, Any]) -> Future[str]:
        """Write attributes.

        Args:
            attributes: Values by name, for example ``{"plan": "pro", "visits": {"operation": "inc", "value": 1}}``;
                operations are ``set``, ``setIfNull``, ``inc`` and ``dec``. ``None`` clears an attribute, dates
                are sent as ISO 8601 text.

        Returns:
            A Future that is resolved once the platform has accepted the message.

        Raises:
            InvalidArgumentError: No dict, an unknown operation, a value that is no JSON, or too much at once.
            QueueFullError: The queue stayed full; nothing was queued.
        """
        return self._send("traits", checked_attributes(attributes))

    def alias(self, body: Mapping[str, Any]) -> Future[str]:
        """Say that an anonymous id belongs to this entity; whoever had it merges into this one.

        Args:
            body: ``{"anonymous_id": "..."}``.

        Returns:
            A Future that is resolved once the platform has accepted the message.

        Raises:
            InvalidArgumentError: There is no anonymous id.
            QueueFullError: The queue stayed full; nothing was queued.
        """
        return self._send("alias", _anonymous_id("alias", body))

    def unalias(self, body: Mapping[str, Any]) -> Future[str]:
        """Take an anonymous id from this entity; arguments and outcome as in :meth:`alias`."""
        return self._send("unalias", _anonymous_id("unalias", body))

    def _send(self, kind: Any, body: Mapping[str, Any]) -> Future[str]:
        return self._connection.send(self._entity, kind, body)


class UserClient(EntityClient):
    """A client that acts for a user; made by :meth:`ApiClient.as_user`."""

    __slots__ = ()

    def account(self, claims: str | Mapping[str, Any] | None = None) -> AccountClient:
        """Return a client that acts for this user's account.

        Args:
            claims: The account to link this user with, as in :meth:`ApiClient.as_account`; ``None`` means the
                account that the user is linked to already.

        Raises:
            InvalidArgumentError: Claims are given, but no identifier is among them.
        """
        account = {} if claims is None else claims_of("account", claims)
        return AccountClient(self._connection, self._entity.for_account(account))

    def track(
        self, event: str, properties: Mapping[str, Any] | None = None, context: Mapping[str, Any] | None = None
    ) -> Future[str]:
        """Record an event.

        Args:
            event: Its name, for example ``"Ordered"``.
            properties: One level of key and value.
            context: ``event_id``, ``created_at``, ``source``, ``type``, ``ip``, ``url``, ``referer`` and others.

        Returns:
            A Future that is resolved once the platform has accepted the message.

        Raises:
            InvalidArgumentError: The name is empty, a value is no JSON, or it is too much at once.
            QueueFullError: The queue stayed full; nothing was queued.
        """
        if not isinstance(event, str) or not event.strip():
            raise InvalidArgumentError(f"event is {event!r}; pass the event's name, such as 'Ordered'")
        for name, value in (("properties", properties), ("context", context)):
            if value is not None and not isinstance(value, Mapping):
                raise InvalidArgumentError(f"{name} is {value!r}; pass a dict")
        return self._connection.track(
            self._entity, event, {} if properties is None else properties, {} if context is None else context
        )


class AccountClient(EntityClient):
    """A client that acts for an account; made by :meth:`ApiClient.as_account` or :meth:`UserClient.account`."""

    __slots__ = ()

    if not TYPE_CHECKING:  # a type checker finds no such method, and says so before the program runs

        def track(self, *_args: Any, **_kwargs: Any) -> None:
            """Refuse: accounts have no events.

            Raises:
                InvalidArgumentError: Always; it names the way out.
            """
            raise InvalidArgumentError(
                "accounts have no events; track it for a user of the account: client.as_user(...).track(...)"
            )


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{name} is {value!r}; pass True or False")


def _anonymous_id(kind: str, body: Any) -> dict[str, str]:
    value = body.get("anonymous_id") if isinstance(body, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"{kind} was called with {body!r}; pass {{'anonymous_id': '...'}} with a value")
    return {"anonymous_id": value.strip()}
