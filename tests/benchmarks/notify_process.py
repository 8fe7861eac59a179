"""Those who receive notifications in the benchmarks of connectors; gunicorn calls the functions.

python tests/benchmarks/gunicorn_process.py "notify_process:ours()"
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import os

from flask import Flask, Response, request
from notifications import WITHOUT_ORJSON, Tally

__all__ = ["floor", "ours"]

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
