"""A web shop that tracks orders through one client, made when the module is loaded: before gunicorn forks."""

from __future__ import annotations

import os

from flask import Flask

from hull_sdk import Client

app = Flask(__name__)
client = Client(
    id=os.environ["HULL_ID"],
    secret=os.environ["HULL_SECRET"],
    organization=os.environ["HULL_ORGANIZATION"],
)
# Queued in the parent: it belongs to the parent, and no child may send it a second time.
client.as_user({"external_id": "parent"}).track("Shop opened", {"pid": os.getpid()})


@app.post("/orders/<int:number>")
def order(number: int) -> str:
    """Track one order of one of twenty customers."""
    client.as_user({"external_id": f"customer-{number % 20}"}).track("Ordered", {"number": number, "pid": os.getpid()})
    return "ok"
