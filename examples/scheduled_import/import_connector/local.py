"""The connector, a platform beside it and a server for a file: ``python -m import_connector.local people.csv``."""

from __future__ import annotations

import functools
import http.server
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from import_connector.app import connect, create_app

__all__ = ["run"]

#: What stops the platform may take, in seconds.
STOP_S: Final = 10
#: Fits people.csv.
SETTINGS: Final = {
    "id_column": "Id",
    "email_column": "E-mail",
    "attributes": {"name": "Name", "plan": "Plan", "seats": "Seats"},
    "types": {"Seats": "number"},
}


def run(file: Path, port: int) -> None:
    """Serve all three until an interrupt or SIGTERM, and print where the connector's page is.

    Args:
        file: What is imported.
        port: Where the connector listens.
    """
    # An exit instead of a sudden end, so that the platform is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.environ["IMPORT_TRUSTED_HOSTS"] = "127.0.0.1"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=file.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as folder:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{quote(file.name)}"
        installed = {"url": f"http://127.0.0.1:{port}", "private_settings": {**SETTINGS, "url": url}}
        platform, ready = _platform(Path(folder), installed)
        try:
            sys.stdout.write(f"{_page(ready, port)}\n")
            sys.stdout.flush()
            connector = connect(host_secret=secrets.token_urlsafe(32), allowed_organizations=["127.0.0.1"], port=port)
            connector.start_app(create_app(connector), host="127.0.0.1")
        finally:
            server.shutdown()
            platform.terminate()
            platform.wait(STOP_S)


def _page(ready: dict[str, Any], port: int) -> str:
    (organization,) = ready["organizations"]
    (installed,) = organization["connectors"]
    host = ready["url"].partition("://")[2]
    query = urlencode({"ship": installed["id"], "secret": installed["secret"], "organization": host})
    return f"http://127.0.0.1:{port}/admin?{query}"


def _platform(folder: Path, connector: dict[str, Any]) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start a platform with one organization; return its process and what it says when it is ready."""
    config = folder / "platform.json"
    config.write_text(json.dumps({"organizations": [{"host": "acme.hullapp.test", "connectors": [connector]}]}))
    command = [sys.executable, "-m", "hull_sdk.cli", "platform", "--port", "0", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        process.wait()
        raise SystemExit("the platform did not start; its log says why")
    ready: dict[str, Any] = json.loads(line)
    return process, ready


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        raise SystemExit("usage: python -m import_connector.local FILE.csv")
    run(Path(sys.argv[1]).resolve(), int(os.environ.get("PORT", "8082")))
