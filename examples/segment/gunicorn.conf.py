"""How gunicorn serves the connector; run ``gunicorn`` in this folder."""

import logging
import os

from hull_sdk.client import JsonFormatter

wsgi_app = "segment_connector.app:create_app()"
bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8082')}"  # noqa: S104 - a server is meant to be reached

# The processes share notifications and the cache through HULL_REDIS_URL; without it run one process.
workers = int(os.environ.get("WEB_CONCURRENCY", "4" if os.environ.get("HULL_REDIS_URL") else "1"))
worker_class = "gthread"
threads = 8

# After a SIGTERM handlers may finish (25 s), then batches, jobs and messages (30 s).
timeout = 60
graceful_timeout = 60

_handler = logging.StreamHandler()
_handler.setFormatter(JsonFormatter())
logging.basicConfig(level=logging.INFO, handlers=[_handler])
