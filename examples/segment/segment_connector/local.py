"""The connector and a platform beside it, to try things out: ``python -m segment_connector.local``."""

from __future__ import annotations

import os

from hull_sdk.testing import serve_locally
from segment_connector.app import connect, create_app

__all__ = ["run"]


def run() -> None:
    """Serve both until an interrupt or SIGTERM, and print where the connector's page is."""
    write_key = os.environ.get("SEGMENT_WRITE_KEY")
    chosen = {"write_key": write_key, "synchronized_segments": ["ALL"]} if write_key else {}
    serve_locally(create_app, connect, port=int(os.environ.get("PORT", "8082")), private_settings=chosen)


if __name__ == "__main__":
    run()
