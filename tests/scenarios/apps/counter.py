"""A connector that counts under ``for_each`` what must not count twice: ``gunicorn counter:app``.

With ``CLOCK_OFFSET_S`` the host's clock is wrong by so many seconds, for all that the package reads from it.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from flask import Flask

from hull_sdk import Connector
from hull_sdk.core.clock import SystemClock
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.handlers import for_each, smart_notifier_handler

LEDGER = Path(os.environ["LEDGER"])
#: How long a handler takes after it has sent, so that a kill finds one at work.
WORK_S = 0.03


class WrongClock(SystemClock):
    """The machine's clock, read by somebody who set it wrong."""

    def time(self) -> float:
        """Return the wrong time."""
        return super().time() + float(os.environ["CLOCK_OFFSET_S"])


def note(what: str, work_id: str) -> None:
    """Write one line, whole, after all others."""
    with LEDGER.open("ab", buffering=0) as ledger:
        ledger.write(f"{what} {work_id} {os.getpid()}\n".encode())


def count(ctx, message) -> None:
    """Count and track, which must not happen twice."""
    user = ctx.client.as_user({"external_id": message["user"]["id"]})
    user.traits({"times_seen": {"operation": "inc", "value": 1}})
    user.track("Handled", {"of": message["message_id"]})
    ctx.client.flush(5)
    time.sleep(WORK_S)


def on_users(ctx, messages):
    """Handle each message."""
    ctx.smart_notifier_response.set_flow_control(type="next", size=100, in_ms=1)
    notification_id = ctx.notification["notification_id"]
    note("begin", notification_id)
    results = for_each(ctx, messages, partial(count, ctx))
    note("end", notification_id)
    return results


app = Flask(__name__)
app.register_blueprint(smart_notifier_handler({"user:update": on_users}), url_prefix="/smart-notifier")
Connector(
    host_secret="the-secret-of-this-host",
    manifest={"name": "Counter", "tags": ["smart-notifier"]},
    shutdown_timeout_s=8,
).setup_app(app)

if "CLOCK_OFFSET_S" in os.environ:
    runtime = app.extensions["hull"].runtime
    runtime.become(Runtime(tasks=ThreadTasks(WrongClock()), ids=runtime.ids, net=runtime.net))
