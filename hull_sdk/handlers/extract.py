"""Batch extracts: files of users or accounts, read in jobs and handed to the functions that handle notifications.

Rules: section "Extracts" of ``docs/protocol.md``. A file is handled at least once: after an error the job begins again
with the part that failed, or at the start when the file has changed or nobody remembers how far it came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState

from hull_sdk.context import Context
from hull_sdk.core.logs import emit
from hull_sdk.core.masking import mask_text
from hull_sdk.errors import HullError, InvalidArgumentError, NotificationError, TransientError
from hull_sdk.flask_app import JOBS_KEY, app_extension, json_body
from hull_sdk.handlers.messages import Prepare
from hull_sdk.helpers import download_request, open_extract
from hull_sdk.infra.queues import MAX_ATTEMPTS
from hull_sdk.middleware import settle
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.extracts import RowReader, is_notice, read_notice
from hull_sdk.wire.flow_control import MessageResult

__all__ = ["INVALID_EXTRACT", "BatchExtracts"]

#: Code of a call that says a file is ready and breaks a rule.
INVALID_EXTRACT: Final = "INVALID_EXTRACT"

#: How long it is remembered how far a file was handled, in seconds.
PROGRESS_S: Final = 86_400.0
#: How often the log is told how far a file was handled, in seconds.
TELL_S: Final = 10.0
#: How long a part of a file may take until what it sent is accepted, in seconds.
SETTLE_S: Final = 300.0

_CHANNELS: Final[dict[EntityKind, str]] = {"user": "user:update", "account": "account:update"}

#: What a query says with credentials, which a job must not store, and where the context has them.
_CREDENTIALS: Final = {"ship": "id", "id": "id", "organization": "organization", "secret": "secret"}
#: Further secrets of a query and a body; a job has no use for them.
_SECRETS: Final = frozenset({"hullToken", "token", "state", "access_token"})
_CONNECTOR: Final = "connector"

_log = logging.getLogger(__name__)

#: ``f(ctx, messages, {"query", "body"})``, which returns what the connector's function returned.
BatchFunction = Callable[[Context, list[Any], dict[str, Any]], list[MessageResult] | None]


@dataclass(frozen=True, kw_only=True)
class BatchExtracts:
    """Takes and handles the batch extracts of one handler.

    Args:
        functions: Functions by channel.
        max_size: Messages in one call of a function.
        preparer: ``f(ctx, kind, unfiltered=...)`` returns what finishes a message; ``unfiltered`` is ``True`` when the
            segment filter does not apply.
    """

    functions: Mapping[str, BatchFunction]
    max_size: int
    preparer: Callable[..., Prepare]

    def register(self, blueprint: Blueprint) -> Blueprint:
        """Bring the job along with a blueprint; returns the blueprint."""
        blueprint.record(self._add_job)
        return blueprint

    def take(self, context: Context) -> Response | None:
        """Take over the request at hand if it says that a file is ready.

        Args:
            context: Of the request.

        Returns:
            ``ok`` once the queue has taken the job; ``None`` when the request is something else.

        Raises:
            CredentialsError: It came without credentials.
            NotificationError: It breaks a rule (status 400).
            TransientError: The queue cannot take it now (status 503).
        """
        body: Any = json_body(request)
        if not is_notice(body):
            return None
        context.credentials()
        self._check(context, body)
        if app_extension().run_job is None:
            raise InvalidArgumentError("batch extracts are jobs; set the application up with Connector(...).setup_app")
        payload = {
            "id": context.runtime.ids.uuid(),
            "query": {k: None if k in _CREDENTIALS else v for k, v in request.args.items() if k not in _SECRETS},
            "body": {k: None if k == _CONNECTOR else v for k, v in body.items()},
        }
        try:
            context.enqueue(_job_name("" if request.url_rule is None else request.url_rule.rule), payload)
        except TransientError as err:
            # Whatever the queue says of itself, the platform shall come again.
            raise TransientError(f"the queue takes no batch extract now: {err.message}", status=503) from err
        return Response("ok", mimetype="text/plain")

    def run(self, context: Context, payload: Mapping[str, Any]) -> None:
        """Handle a file; the job.

        Args:
            context: Of the job.
            payload: What :meth:`take` stored.

        Raises:
            TransientError: The file could not be read, or not all was accepted; the queue tries again.
            Exception: Whatever the connector's function raised; likewise.
        """
        context.is_batch = True
        try:
            count = self._read(context, payload)
        except Exception as err:
            if context.attempt >= MAX_ATTEMPTS:
                reason = mask_text(err.message if isinstance(err, HullError) else f"{type(err).__name__}: {err}")
                emit(_log, logging.ERROR, "connector.batch.error", {**_named(context, payload), "reason": reason})
            raise
        emit(_log, logging.INFO, "connector.batch.success", {**_named(context, payload), "rows": count})

    def _add_job(self, state: BlueprintSetupState) -> None:
        jobs = state.app.extensions.setdefault(JOBS_KEY, {})
        jobs[_job_name(state.url_prefix or "")] = self.run

    def _check(self, context: Context, body: Mapping[str, Any]) -> None:
        try:
            url, _, kind = read_notice(body)
            download_request(context, url)
        except InvalidArgumentError as err:
            raise NotificationError(INVALID_EXTRACT, err.message) from err
        if _CHANNELS[kind] not in self.functions:
            raise NotificationError(INVALID_EXTRACT, f"no function handles {_CHANNELS[kind]!r} here; register one")

    def _read(self, context: Context, payload: Mapping[str, Any]) -> int:
        query, body = _restored(context, payload)
        url, file_format, kind = read_notice(body)
        reader = RowReader(
            kind=kind,
            source_id=payload["id"],
            users_segments=context.users_segments,
            accounts_segments=context.accounts_segments,
            segment_id=query.get("segment_id"),
        )
        unfiltered = query.get("source") != "connector"
        handle = partial(self.functions[_CHANNELS[kind]], context)
        with open_extract(context, url, file_format) as file:
            progress = _Progress(context, payload, file.mark)
            for rows in file.parts(self.max_size, skip=progress.rows):
                prepare = self.preparer(context, kind, unfiltered=unfiltered)
                messages = prepare(reader.message(index, row) for index, row in enumerate(rows, progress.rows))
                context.begin_part()
                results = handle(progress.open(messages), {"query": query, "body": body})
                settle(context, SETTLE_S)
                progress.check(results)
                progress.advance(len(rows))
        progress.end()
        return progress.rows


def _job_name(rule: str) -> str:
    return f"hull-extract:{rule.rstrip('/')}"


def _restored(context: Context, payload: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return query and body as they came, with what was not stored because it is secret."""
    credentials = context.credentials()
    query, body = payload["query"], payload["body"]
    return (
        {name: credentials[_CREDENTIALS[name]] if name in _CREDENTIALS else query[name] for name in query},
        {name: context.ship if name == _CONNECTOR else body[name] for name in body},
    )


class _Progress:
    """How far a file was handled, remembered for the next try of its job and told to the log.

    Args:
        context: Of the job.
        payload: What the job was stored with.
        mark: Of the file; what is remembered of another one says nothing about it.
    """

    def __init__(self, context: Context, payload: Mapping[str, Any], mark: str) -> None:
        self._context = context
        self._payload = payload
        self._mark = mark
        self._kept = context.runs.scoped("extracts")
        found = self._kept.get(payload["id"])
        known = found if found is not None and mark and found["mark"] == mark else {}
        #: Rows that need not be handled again.
        self.rows: int = known.get("rows", 0)
        self._again: frozenset[str] = frozenset(known.get("again", ()))
        self._told_at = context.runtime.clock.monotonic()

    def open(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages of a part that are still to be handled."""
        again, self._again = self._again, frozenset()
        return [message for message in messages if message["message_id"] in again] if again else messages

    def check(self, results: list[MessageResult] | None) -> None:
        """Log what failed for good; remember what is to be tried again, and have the job come back for it."""
        again = [result for result in results or [] if result.status == "retry"]
        for result in results or []:
            if result.status == "error":
                fields = {"message_id": result.message_id, "reason": result.reason}
                emit(_log, logging.WARNING, "connector.message.error", {**fields, **self._named()})
        if again:
            self._keep([result.message_id for result in again])
            raise TransientError(f"{len(again)} messages of the extract are to be tried again: {again[0].reason}")

    def advance(self, rows: int) -> None:
        """Count a part as done."""
        self.rows += rows
        self._keep([])
        now = self._context.runtime.clock.monotonic()
        if now - self._told_at >= TELL_S:
            self._told_at = now
            emit(_log, logging.INFO, "connector.batch.progress", {**self._named(), "rows": self.rows})

    def end(self) -> None:
        """Forget a file that was handled to its end."""
        self._kept.delete(self._payload["id"])

    def _keep(self, again: list[str]) -> None:
        self._kept.set(self._payload["id"], {"mark": self._mark, "rows": self.rows, "again": again}, PROGRESS_S)

    def _named(self) -> dict[str, Any]:
        return _named(self._context, self._payload)


def _named(context: Context, payload: Mapping[str, Any]) -> dict[str, Any]:
    body, credentials = payload["body"], context.credentials()
    return {
        "batch_id": payload["id"],
        "object_type": body.get("object_type"),
        "notification_id": body.get("notification_id"),
        "organization": credentials.organization,
        "id": credentials.id,
        "request_id": context.request_id,
    }
