"""How gunicorn serves the connector; run ``gunicorn`` in this folder."""

import gc
import logging
import os

from hull_sdk.client import JsonFormatter

wsgi_app = "segment_connector.app:create_app()"
bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8082')}"  # noqa: S104 - a server is meant to be reached

# The processes share notifications and the cache through HULL_REDIS_URL; without it run one process.
workers = int(os.environ.get("WEB_CONCURRENCY", "4" if os.environ.get("HULL_REDIS_URL") else "1"))
worker_class = "gthread"
threads = 8

# A stop takes 30 s at most (the shutdown_timeout_s of Connector); only after that may gunicorn kill.
timeout = 60
graceful_timeout = 40

_handler = logging.StreamHandler()
_handler.setFormatter(JsonFormatter())
logging.basicConfig(level=logging.INFO, handlers=[_handler])


def post_worker_init(_worker: object) -> None:
    """Leave what is loaded by now out of garbage collections, and have fewer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
