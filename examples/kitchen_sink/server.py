"""How it is run: ``gunicorn "kitchen_sink.server:serve()"``, and for its jobs ``python -m kitchen_sink.server``.

Jobs run in gunicorn's processes unless ``HULL_REDIS_URL`` names a store that processes share.
"""

from __future__ import annotations

import logging
import os

from flask import Flask

from hull_sdk.client import JsonFormatter, PlatformLogHandler
from kitchen_sink.app import connect, create_app

__all__ = ["log", "serve", "work"]


def log() -> PlatformLogHandler:
    """Print all lines as JSON, and send those about users and accounts to Hull."""
    stream = logging.StreamHandler()
    stream.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[stream])
    platform = PlatformLogHandler(logging.INFO)
    logging.getLogger("hull_sdk.client").addHandler(platform)
    return platform


def serve() -> Flask:
    """Return the application for a server with several threads and processes."""
    log()
    return create_app({"host_secret": os.environ["HULL_HOST_SECRET"]})


def work() -> None:
    """Run jobs until the process is told to stop; as many such processes may run as there are jobs for."""
    log()
    connector = connect({"host_secret": os.environ["HULL_HOST_SECRET"]})
    create_app(connector=connector)
    connector.start_worker()


if __name__ == "__main__":
    work()
