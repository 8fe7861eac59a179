"""The connector and a platform beside it, to try things out: ``python -m segment_connector.local``."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from segment_connector.app import connect, create_app

__all__ = ["run"]

#: What stops the platform may take, in seconds.
STOP_S: Final = 10


def run(port: int) -> None:
    """Serve both until an interrupt or SIGTERM, and print where the connector's page is.

    Args:
        port: Where the connector listens.
    """
    write_key = os.environ.get("SEGMENT_WRITE_KEY")
    chosen = {"write_key": write_key, "synchronized_segments": ["ALL"]} if write_key else {}
    # An exit instead of a sudden end, so that the platform is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        platform, ready = _platform(Path(folder), {"url": f"http://127.0.0.1:{port}", "private_settings": chosen})
        try:
            (organization,) = ready["organizations"]
            (installed,) = organization["connectors"]
            # What the platform's notifications name is its own address.
            host = ready["url"].partition("://")[2]
            query = urlencode({"ship": installed["id"], "secret": installed["secret"], "organization": host})
            sys.stdout.write(f"http://127.0.0.1:{port}/admin?{query}\n")
            sys.stdout.flush()
            connector = connect(host_secret=secrets.token_urlsafe(32), allowed_organizations=["127.0.0.1"], port=port)
            connector.start_app(create_app(connector), host="127.0.0.1")
        finally:
            platform.terminate()
            platform.wait(STOP_S)


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
    run(int(os.environ.get("PORT", "8082")))
