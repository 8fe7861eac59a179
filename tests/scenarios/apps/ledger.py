"""A connector that writes down when it begins and ends each piece of work.

``gunicorn ledger:app`` serves it, ``python ledger.py`` runs its jobs. A user with the attribute ``hangs`` is written to
the platform, and then the first try hangs, as if it went on for hours. A notification about one
with ``counts`` goes through ``for_each`` and hangs in the same way.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

from flask import Flask

from hull_sdk import Connector
from hull_sdk.handlers import for_each, smart_notifier_handler

LEDGER = Path(os.environ["LEDGER"])


def note(what: str, work_id: str) -> None:
    """Write one line, whole, after all others."""
    with LEDGER.open("ab", buffering=0) as ledger:
        ledger.write(f"{what} {work_id} {os.getpid()}\n".encode())


def write(ctx, message, work_id: str) -> None:
    """Send one event for a message, and hang where that is asked for, once the platform has the event."""
    first = f" {work_id} ".encode() not in LEDGER.read_bytes()
    note("begin", work_id)
    ctx.client.as_user({"external_id": message["user"]["id"]}).track(
        "Handled", {"of": message["message_id"], "pid": os.getpid()}, {"event_id": message["message_id"]}
    )
    if first and message["user"].get("traits_hangs"):
        ctx.settle(10)
        note("hangs", work_id)
        signal.pause()
    note("end", work_id)


def count(ctx, message) -> None:
    """Count and track, which must not happen twice, and hang the first time, once the platform has both."""
    message_id = message["message_id"]
    first = f" {message_id} ".encode() not in LEDGER.read_bytes()
    note("begin", message_id)
    user = ctx.client.as_user({"external_id": message["user"]["id"]})
    sent = [
        user.traits({"times_seen": {"operation": "inc", "value": 1}}),
        user.track("Handled", {"of": message_id}),
    ]
    if first:
        for each in sent:
            each.result(10)
        note("hangs", message_id)
        signal.pause()
    note("end", message_id)


def on_users(ctx, messages):
    """Handle each message, one by one where that is asked for, or leave it to a job."""
    ctx.smart_notifier_response.set_flow_control(type="next", size=100, in_ms=1)
    if any(message["user"].get("traits_counts") for message in messages):
        return for_each(ctx, messages, partial(count, ctx))
    for message in messages:
        if message["user"].get("traits_as_job"):
            ctx.enqueue("write", message)
        else:
            write(ctx, message, ctx.notification["notification_id"])
    return None


app = Flask(__name__)
app.register_blueprint(smart_notifier_handler({"user:update": on_users}), url_prefix="/smart-notifier")
connector = Connector(host_secret="the-secret-of-this-host", manifest={"name": "Ledger", "tags": ["smart-notifier"]})
connector.worker({"write": lambda ctx, message: write(ctx, message, message["message_id"])})
connector.setup_app(app)

if __name__ == "__main__":
    connector.start_worker()
