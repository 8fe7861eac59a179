"""The connector and a platform beside it, to try things out: ``python -m customerio_connector.local``."""

from __future__ import annotations

import os

from customerio_connector.app import connect, create_app
from hull_sdk.testing import serve_locally

__all__ = ["run"]


def run() -> None:
    """Serve both until an interrupt or SIGTERM, and print where the connector's page is."""
    site_id, api_key = os.environ.get("CUSTOMERIO_SITE_ID"), os.environ.get("CUSTOMERIO_API_KEY")
    chosen = {"site_id": site_id, "api_key": api_key, "synchronized_segments": ["ALL"]} if site_id and api_key else {}
    serve_locally(create_app, connect, port=int(os.environ.get("PORT", "8083")), private_settings=chosen)


if __name__ == "__main__":
    run()
