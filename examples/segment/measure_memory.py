"""Measures the memory of the connector's process while notifications flow through it, over real sockets.

``HULL_REDIS_URL=redis://127.0.0.1:6379/0 python measure_memory.py`` in this folder, on Linux; the README quotes it. A
number after it is another count. Each user makes one notification.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any, Final

from flask import Flask
from segment_connector import outbound
from segment_connector.app import connect, create_app
from werkzeug.serving import WSGIRequestHandler, make_server

from hull_sdk import Client
from hull_sdk.errors import HullError
from hull_sdk.platform import Platform

ROUNDS: Final = 5
SETTINGS: Final = {"write_key": "wk-1", "synchronized_segments": ["ALL"], "synchronized_properties": ["plan"]}


def serve_connector(port: int) -> None:
    """Serve the connector, which asks for one message in a notification instead of 100."""
    outbound.SIZE = 1  # type: ignore[misc]  # so that there are as many notifications as messages
    connector = connect(host_secret=secrets.token_urlsafe(32), allowed_organizations=["127.0.0.1"], port=port)
    connector.start_app(create_app(connector), host="127.0.0.1")


class _Quiet(WSGIRequestHandler):
    def log(self, *_args: Any) -> None:
        """Say nothing."""


def serve(app: Any) -> str:
    """Serve a WSGI application until the end; return its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_port}"


def stand_in() -> Flask:
    """Return a Segment that takes everything."""
    app = Flask("stand_in_for_segment")
    app.add_url_rule("/v1/batch", view_func=lambda: {"success": True}, methods=["POST"])
    return app


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def start_connector(port: int, segment: str) -> BaseProcess:
    """Start the connector in a process of its own, and wait until it answers."""
    os.environ["SEGMENT_API_URL"] = f"http://{segment}/v1"
    process = get_context("spawn").Process(target=serve_connector, args=(port,), daemon=True)
    process.start()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return process


def resident_mb(pid: int | None) -> float:
    """Return the memory that a process occupies."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def measure(notifications: int) -> list[float]:
    """Have so many notifications flow; return the megabytes of the process after each of the rounds."""
    platform, port = Platform(), free_port()
    platform.address = serve(platform.wsgi_app)
    process = start_connector(port, serve(stand_in()))
    organization = platform.create_organization("acme.hullapp.test")
    installed = organization.install(f"http://127.0.0.1:{port}", private_settings=SETTINGS)
    client = Client(id=installed.id, secret=installed.secret, organization=platform.address)
    found = []
    users = notifications // ROUNDS
    for number in range(ROUNDS):
        for user in range(number * users, (number + 1) * users):
            person = client.as_user({"external_id": f"u-{user}"})
            person.traits({"plan": "pro"})
            person.track("Ordered", {"number": user})
        client.flush(60)
        if not platform.wait_until_idle(600):
            raise HullError("the connector did not get through")
        found.append(resident_mb(process.pid))
        told = {"notifications": len(platform.deliveries), "resident_mb": round(found[-1], 1)}
        sys.stdout.write(json.dumps(told) + "\n")
    client.close()
    process.terminate()
    process.join()
    platform.close()
    return found


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
