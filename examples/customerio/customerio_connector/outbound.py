"""From Hull to Customer.io: users one by one, several at the same time, with a result for each message."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from customerio_connector.customerio_api import CustomerioApi
from customerio_connector.customers import SOURCE, Customer, parts
from customerio_connector.decision import Decision, Refused, decide, leaving, newest
from customerio_connector.settings import PrivateSettings, private_settings
from hull_sdk import Context
from hull_sdk.errors import ApiError, TransientError
from hull_sdk.handlers import for_each
from hull_sdk.types import RequestParts, UserDeletion, UserMessage, UserReport

__all__ = ["forget_users", "send_users"]

#: Messages in the next notification, and the pause before it.
SIZE: Final = 50
PAUSE_MS: Final = 1
#: Users that are sent at the same time.
AT_ONCE: Final = 4
#: How long it is remembered which events of an interrupted message have arrived, in seconds.
REMEMBERED_S: Final = 3600.0


def send_users(ctx: Context, messages: list[UserMessage], batch: RequestParts | None) -> list[dict[str, Any]]:
    """Send users and their events, delete those that have left, and write back what Customer.io has.

    Args:
        ctx: The context.
        messages: Of a notification, or made from the rows of an extract.
        batch: The call that brought the extract; ``None`` for notifications.

    Returns:
        A result for each message: what Customer.io could not take now comes again, what it refuses is kept aside.
    """
    ctx.smart_notifier_response.set_flow_control(type="next", size=SIZE, in_ms=PAUSE_MS)
    settings = private_settings(ctx)
    if not settings["site_id"] or not settings["api_key"]:
        return [{"message_id": each["message_id"], "status": "skip"} for each in messages]
    users = newest(messages)
    sending = _Sending(ctx, CustomerioApi(ctx, settings), settings, batch is not None)
    results = dict(zip(users, for_each(ctx, list(users.values()), sending.send, limit=AT_ONCE), strict=True))
    return [{**results[str(each["user"]["id"])], "message_id": each["message_id"]} for each in messages]


def forget_users(ctx: Context, messages: list[UserDeletion]) -> list[dict[str, Any]]:
    """Delete from Customer.io who was deleted from Hull, if the settings say so for those that leave.

    Args:
        ctx: The context.
        messages: Of a notification.
    """
    settings = private_settings(ctx)
    if not settings["site_id"] or not settings["api_key"]:
        return [{"message_id": each["message_id"], "status": "skip"} for each in messages]
    sending = _Sending(ctx, CustomerioApi(ctx, settings), settings, is_batch=False)
    return for_each(ctx, messages, sending.forget, limit=AT_ONCE)


@dataclass(frozen=True, slots=True)
class _Sending:
    """What the messages of a notification have in common."""

    ctx: Context
    api: CustomerioApi
    settings: PrivateSettings
    is_batch: bool

    def send(self, message: UserMessage) -> dict[str, Any]:
        """Do what a message leads to; return its result."""
        try:
            decision = decide(message, self.settings, is_batch=self.is_batch)
            refusals = self._do(message, decision)
        except (ApiError, Refused) as err:
            return _error([self._refused(message["user"], "outgoing.user.error", {}, err)])
        return _error(refusals) if refusals else _done(decision)

    def forget(self, message: UserDeletion) -> dict[str, Any]:
        """Delete somebody who does not exist in Hull any more, where nothing can be written back."""
        decision = leaving(message["user"], self.settings)
        self._log_skipped(message["user"], decision)
        try:
            if decision.delete is not None:
                self._delete(message["user"], decision.delete)
        except ApiError as err:
            return _error([self._refused(message["user"], "outgoing.user.error", {}, err)])
        return _done(decision)

    def _do(self, message: UserMessage, decision: Decision) -> list[str]:
        """Delete, put, and send events; return why Customer.io refuses some of them for good."""
        self._log_skipped(message["user"], decision)
        if decision.delete is not None:
            self._delete(message["user"], decision.delete)
            gone = dict.fromkeys([f"{SOURCE}/{name}" for name in ("id", "hash", "synced_at", "created_at")])
            self.ctx.client.as_user(message["user"]).traits({**gone, f"{SOURCE}/deleted_at": self._now()})
        if decision.customer is not None:
            self._put(message, decision.customer, decision)
        return self._send_events(message, decision) if decision.events else []

    def _delete(self, user: UserReport, customer_id: str) -> None:
        self.api.delete(customer_id)
        self.ctx.client.as_user(user).logger.info("outgoing.user.deletion", {"customer_id": customer_id})
        self.ctx.metric.increment("ship.outgoing.users.deleted")

    def _put(self, message: UserMessage, customer: Customer, decision: Decision) -> None:
        user = self.ctx.client.as_user(message["user"])
        for name, reason in customer.refused:
            user.logger.error("outgoing.user.error", {"attribute": name, "reason": reason})
        for attributes in parts(customer, is_known=decision.is_known):
            self.api.put(customer.id, attributes)
        now = self._now()
        user.traits(
            {
                f"{SOURCE}/id": customer.id,
                f"{SOURCE}/hash": decision.fingerprint,
                f"{SOURCE}/synced_at": now,
                f"{SOURCE}/deleted_at": None,
                **({} if decision.is_known else {f"{SOURCE}/created_at": now}),
            }
        )
        what = "update" if decision.is_known else "insert"
        user.logger.info("outgoing.user.success", {"type": what, "customer_id": customer.id})
        self.ctx.metric.increment("ship.outgoing.users")

    def _send_events(self, message: UserMessage, decision: Decision) -> list[str]:
        """Send those that have not arrived yet: a user may have more than fit into the time of a notification."""
        key = f"sent/{message['message_id']}"
        arrived = set(self.ctx.cache.get(key) or ())
        refusals = []
        try:
            for event in decision.events:
                if event["id"] in arrived:
                    continue
                refusal = self._send_event(message, decision, event)
                if refusal is None:
                    arrived.add(event["id"])
                else:
                    refusals.append(refusal)
        except TransientError:
            self.ctx.cache.set(key, sorted(arrived), REMEMBERED_S)
            raise
        return refusals

    def _send_event(self, message: UserMessage, decision: Decision, event: dict[str, Any]) -> str | None:
        told = {"event": event["name"], "id": event["id"]}
        if decision.customer_id is None:
            send = partial(self.api.track_anonymous, decision.anonymous_id or "")
        else:
            send = partial(self.api.track, decision.customer_id)
        try:
            send(event)
        except ApiError as err:
            return self._refused(message["user"], "outgoing.event.error", told, err)
        self.ctx.client.as_user(message["user"]).logger.info("outgoing.event.success", told)
        self.ctx.metric.increment("ship.outgoing.events")
        return None

    def _log_skipped(self, user: UserReport, decision: Decision) -> None:
        logger = self.ctx.client.as_user(user).logger
        for name, reason in decision.skipped_events:
            logger.info("outgoing.event.skip", {"event": name, "reason": reason})
        if decision.skipped is not None:
            logger.info("outgoing.user.skip", {"reason": decision.skipped})

    def _refused(self, user: UserReport, event: str, told: dict[str, Any], err: Exception) -> str:
        self.ctx.client.as_user(user).logger.error(event, {**told, "reason": str(err)})
        return str(err)

    def _now(self) -> str:
        return self.ctx.runtime.clock.now().isoformat()


def _done(decision: Decision) -> dict[str, Any]:
    return {"status": "ok"} if decision.skipped is None else {"status": "skip", "reason": decision.skipped}


def _error(reasons: list[str]) -> dict[str, Any]:
    return {"status": "error", "reason": "; ".join(reasons)}
