"""A run: look at the file, and have Hull fetch it from us, once for each version of the file."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final
from urllib.parse import urlencode

from hull_sdk import Context
from hull_sdk.errors import ApiError, TransientError
from hull_sdk.handlers import run_once
from hull_sdk.types import RequestParts
from import_connector.mapping import check_columns
from import_connector.settings import PrivateSettings, private_settings
from import_connector.source import Source
from import_connector.table import TableError

__all__ = ["FILE_PATH", "import_file", "job_of", "retry"]

FILE_PATH: Final = "/file"
#: Settings that make no difference to the records of a file.
_ASIDE: Final = frozenset({"authorization", "schedule", "timezone", "last_run", "last_file"})


def import_file(ctx: Context, _request: RequestParts) -> dict[str, Any]:
    """Import the file, unless it was imported as it is.

    Args:
        ctx: The context.

    Returns:
        The state of the run, for example ``{"state": "started", "job_id": "..."}``; one that failed is begun again by
        :func:`retry`.
    """
    settings = private_settings(ctx)
    if not settings["url"]:
        return _skip(ctx, "the settings have no address")
    try:
        mark = _look(ctx)
    except (TableError, TransientError) as err:
        return _failed(ctx, str(err))
    last = settings["last_run"]
    version = {"mark": mark, "settings": _digest(settings)}
    job = job_of(ctx) if mark and version.items() <= last.items() else None
    if job is not None and job["state"] in {"queued", "running", "completed"}:
        if last["state"] == "failed":  # the look after that run
            _keep(ctx, {"state": "started", "job_id": last["job_id"], **version})
        return _skip(ctx, "the file is the one that was imported last")
    # Whoever else asks now sees the same last run, and so does whoever comes after a crash.
    did = run_once(ctx, f"import {' '.join(version.values())} after {last.get('at')}", lambda: _start(ctx, version))
    return private_settings(ctx)["last_run"] if did else _skip(ctx, "it has just been started")


def retry(ctx: Context, request: RequestParts) -> dict[str, Any]:
    """Begin a run again that failed: the file was not there yet, for example, or changed while it was read.

    Args:
        ctx: The context.
        request: Passed on.
    """
    return import_file(ctx, request) if _state(ctx) == "failed" else {"state": "nothing to do"}


def job_of(ctx: Context) -> dict[str, Any] | None:
    """Return Hull's job of the last run; ``None`` when there is none or Hull has forgotten it."""
    job_id = private_settings(ctx)["last_run"].get("job_id")
    if job_id is None:
        return None
    try:
        job: dict[str, Any] = ctx.client.get(job_id)
    except ApiError as err:
        if err.status == 404:
            return None
        raise
    return job


def _look(ctx: Context) -> str:
    """Return the mark of the file, after a look at its columns."""
    settings = private_settings(ctx)
    with Source(ctx, settings).open() as file:
        check_columns(file.table.columns, dict(settings))
        return file.mark


def _digest(settings: PrivateSettings) -> str:
    """Return what differs when the settings would make other records of the same file."""
    read = {name: value for name, value in settings.items() if name not in _ASIDE}
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:16]


def _start(ctx: Context, version: dict[str, str]) -> None:
    settings, mark = private_settings(ctx), version["mark"]
    # A token of its own lets Hull in; it names this connector and opens nothing else than addresses for webhooks.
    query = urlencode({"token": ctx.token_for("webhook") or "", "mark": mark})
    job = ctx.client.post(
        f"import/{settings['data_set']}",
        {
            "url": f"{ctx.ship['source_url'].rstrip('/')}{FILE_PATH}?{query}",
            "format": "json",
            "name": "Scheduled import",
            "overwrite": settings["overwrite"],
            "notify": settings["notify"],
            "emit_event": False,
        },
    )
    _keep(ctx, {"state": "started", "job_id": job["id"], **version})
    ctx.client.logger.info("incoming.job.start", {"job_id": job["id"], "mark": mark})


def _failed(ctx: Context, reason: str) -> dict[str, Any]:
    ctx.client.logger.error("incoming.job.error", {"reason": reason})
    ctx.metric.increment("ship.incoming.errors")
    last = private_settings(ctx)["last_run"]
    # What was imported stays so.
    known: dict[str, Any] = {name: last[name] for name in ("job_id", "mark", "settings") if name in last}
    return _keep(ctx, {**known, "state": "failed", "reason": reason})


def _keep(ctx: Context, run: dict[str, Any]) -> dict[str, Any]:
    found = {**run, "at": ctx.runtime.clock.time()}
    ctx.helpers.update_settings({"last_run": found})
    return found


def _state(ctx: Context) -> str | None:
    """Return how the last run is or ended; ``None`` when nobody knows."""
    last = private_settings(ctx)["last_run"]
    if last.get("state") != "started":
        return last.get("state")
    job = job_of(ctx)
    return None if job is None else job["state"]


def _skip(ctx: Context, reason: str) -> dict[str, Any]:
    ctx.client.logger.info("incoming.job.skip", {"reason": reason})
    return {"state": "skipped", "reason": reason}
