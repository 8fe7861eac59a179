"""Those who receive notifications in the benchmarks of connectors; gunicorn calls the functions.

python tests/benchmarks/gunicorn_process.py "notify_process:ours()"
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import itertools
import logging
import os

from flask import Flask, Response, request
from notifications import WITHOUT_ORJSON, Tally

__all__ = ["floor", "ours", "sending"]

MANIFEST = {
    "name": "Counter",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/notify", "channels": [{"channel": "user:update"}]}],
}


def ours() -> Flask:
    """Return a connector whose handler counts."""
    from hull_sdk import Connector
    from hull_sdk.handlers import smart_notifier_handler

    tally = Tally()
    app = Flask("ours")
    handler = smart_notifier_handler({"user:update": lambda _ctx, messages: tally.add(len(messages))})
    app.register_blueprint(handler, url_prefix="/notify")
    connector = Connector(
        host_secret="a long random text, as long as it should be",
        manifest=MANIFEST,
        allowed_organizations=["127.0.0.1", "*.hullapp.io"],
    )
    return connector.setup_app(app)


def floor() -> Flask:
    """Return the least that does the same: one view that verifies signature and digest, decodes, counts and answers."""
    import jwt
    import requests
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    json = importlib.import_module("json" if WITHOUT_ORJSON in os.environ else "orjson")
    tally, keys = Tally(), {}
    app = Flask("floor")
    answer = b'{"flow_control":{"type":"next","size":1,"in":1000},"metrics":[],"errors":[]}'

    @app.post("/notify")
    def notify() -> Response:
        url = request.headers["X-Hull-Smart-Notifier-Signature-Public-Key-Url"]
        if url not in keys:
            keys[url] = load_pem_public_key(requests.post(url, timeout=5).content)
        body = request.get_data(cache=False)
        try:
            claims = jwt.decode(request.headers["X-Hull-Smart-Notifier-Signature"], keys[url], algorithms=["RS256"])
        except jwt.PyJWTError:
            return Response("bad signature", 401)
        if not hmac.compare_digest(claims["body_sha256"], hashlib.sha256(body).hexdigest()):
            return Response("bad digest", 401)
        notification = json.loads(body)
        if claims["jti"] != notification["notification_id"]:
            return Response("bad id", 401)
        tally.add(len(notification["messages"]))
        return Response(answer, mimetype="application/json")

    return app


def sending() -> Flask:
    """Return a connector that counts and writes about every tenth user, as those do that answer with attributes.

    One of its guarantees is off: the one that the variable ``BENCHMARK_WITHOUT`` names, if any.
    """
    from hull_sdk import Connector
    from hull_sdk.handlers import smart_notifier_handler
    from hull_sdk.infra import Instrumentation

    off = _SWITCHES.get(os.environ.get("BENCHMARK_WITHOUT", ""))
    if off is not None:
        off()
    tally, numbers = Tally(), itertools.count()

    def update(ctx, messages) -> None:
        for message in messages[::10]:
            ctx.client.as_user(message["user"]).traits({"n": next(numbers)})
        tally.add(len(messages))

    app = Flask("sending")
    app.register_blueprint(smart_notifier_handler({"user:update": update}), url_prefix="/notify")
    connector = Connector(
        host_secret="a long random text, as long as it should be",
        manifest=MANIFEST,
        allowed_organizations=["127.0.0.1", "*.hullapp.io"],
        client_config={"firehose_url": os.environ["BENCHMARK_FIREHOSE"]},
        instrumentation=Instrumentation(dogstatsd="127.0.0.1:8125"),
    )
    return connector.setup_app(app)


def _without_deduplication() -> None:
    from hull_sdk.handlers.deduplication import Runs

    Runs.once = lambda _self, _run_id, work, **_: work(1)  # type: ignore[method-assign]


def _without_flush() -> None:
    from hull_sdk import flask_app
    from hull_sdk.handlers import smart_notifier

    smart_notifier.settle = flask_app.settle = lambda *_, **_options: []  # type: ignore[attr-defined, assignment]


def _without_tracing() -> None:
    logging.getLogger("hull_sdk").setLevel(logging.WARNING)


def _without_metrics() -> None:
    from hull_sdk.infra import Metric

    Metric.increment = Metric.value = lambda *_args, **_options: None  # type: ignore[method-assign]


#: How a guarantee is switched off; none of this is possible in a connector.
_SWITCHES = {
    "de-duplication": _without_deduplication,
    "flush before answer": _without_flush,
    "tracing": _without_tracing,
    "metrics": _without_metrics,
}
