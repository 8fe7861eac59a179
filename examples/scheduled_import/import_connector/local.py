"""The connector, a platform beside it and a server for a file: ``python -m import_connector.local people.csv``."""

from __future__ import annotations

import functools
import http.server
import os
import sys
import threading
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hull_sdk.testing import serve_locally
from import_connector.app import connect, create_app

__all__ = ["run"]

#: Fits people.csv.
SETTINGS: Final = {
    "id_column": "Id",
    "email_column": "E-mail",
    "attributes": {"name": "Name", "plan": "Plan", "seats": "Seats"},
    "types": {"Seats": "number"},
}


def run(file: Path) -> None:
    """Serve all three until an interrupt or SIGTERM, and print where the connector's page is.

    Args:
        file: What is imported.
    """
    os.environ["IMPORT_TRUSTED_HOSTS"] = "127.0.0.1"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=file.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{quote(file.name)}"
        serve_locally(
            create_app, connect, port=int(os.environ.get("PORT", "8082")), private_settings={**SETTINGS, "url": url}
        )


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        raise SystemExit("usage: python -m import_connector.local FILE.csv")
    run(Path(sys.argv[1]).resolve())
