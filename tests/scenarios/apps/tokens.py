"""A connector that calls a service with tokens that it keeps fresh: ``gunicorn tokens:app``."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from hull_sdk import Connector
from hull_sdk.handlers import action_handler, fresh_tokens
from hull_sdk.service import ServiceSession

SERVICE = os.environ["SERVICE"]
CALLS = Path(os.environ["CALLS"])


def call(ctx, _request):
    """Write down which process this is, and use the tokens once."""
    with CALLS.open("ab", buffering=0) as calls:
        calls.write(f"{os.getpid()}\n".encode())
    tokens = fresh_tokens(
        ctx,
        token_url=f"{SERVICE}/token",
        client_id=os.environ["CLIENT_ID"],
        client_secret=os.environ["CLIENT_SECRET"],
    )
    session = ServiceSession(SERVICE, runtime=ctx.runtime, metric=ctx.metric)
    return session.get("/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json()


app = Flask(__name__)
app.register_blueprint(action_handler(call), url_prefix="/call")
Connector(host_secret="the-secret-of-this-host", manifest={"name": "Tokens"}).setup_app(app)
