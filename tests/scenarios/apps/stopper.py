"""A connector that is stopped in the middle of its work: ``python stopper.py`` or ``gunicorn stopper:app``."""

from __future__ import annotations

import logging
import os
import sys
import time

from flask import Flask

from hull_sdk import Connector
from hull_sdk.core.logs import JsonFormatter
from hull_sdk.handlers import action_handler, batcher_handler

handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(JsonFormatter())
logging.basicConfig(level=logging.INFO, handlers=[handler])


def track(ctx, name):
    """Send an event about one user."""
    ctx.client.as_user({"external_id": "u1"}).track(name)


def work_slowly(ctx, request):
    """Take as long as the body says, then send."""
    logging.getLogger("stopper").info("slow begins")
    time.sleep(request["body"]["seconds"])
    track(ctx, "Slow done")


def enqueue(ctx, request):
    """Enqueue jobs, each with its seconds."""
    for seconds in request["body"]["seconds"]:
        ctx.enqueue("job", {"seconds": seconds})


def run_job(ctx, payload):
    """Take as long as the payload says, then send."""
    time.sleep(payload["seconds"])
    track(ctx, "Job done")


def hand_over(ctx, messages):
    """Send an event for each message of a batch."""
    for _ in messages:
        track(ctx, "Batched")


app = Flask(__name__)
app.register_blueprint(action_handler(work_slowly), url_prefix="/slow")
app.register_blueprint(action_handler(enqueue), url_prefix="/enqueue")
app.register_blueprint(batcher_handler(hand_over, max_time_ms=600_000), url_prefix="/hook")
connector = Connector(
    host_secret="a secret of the host for tests",
    port=0,
    manifest={"name": "Stopper"},
    shutdown_timeout_s=float(os.environ.get("SHUTDOWN_S", "20")),
    client_config={"flush_after_ms": 600_000},
)
connector.worker({"job": run_job})
connector.setup_app(app)

if __name__ == "__main__":
    connector.start_app(app, host="127.0.0.1")
