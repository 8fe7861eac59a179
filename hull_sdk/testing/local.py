"""A connector and a platform of its own in one real process, to try things out by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from hull_sdk.connector import Connector
from hull_sdk.core.runtime import Runtime
from hull_sdk.flask_app import app_extension
from hull_sdk.platform import Platform
from hull_sdk.platform.server import serve
from hull_sdk.testing.addresses import ORGANIZATION_HOST

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["serve_locally"]

_LOOPBACK = "127.0.0.1"


def serve_locally(
    create_app: Callable[[Connector], Flask],
    connect: Callable[..., Connector] = Connector,
    *,
    port: int = 8082,
    page: str = "/admin",
    private_settings: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Serve a connector and a platform of its own on this machine until an interrupt or SIGTERM.

    Example::

        if __name__ == "__main__":
            serve_locally(create_app, connect, private_settings={"api_key": os.environ["CRM_API_KEY"]})

    The first line on stdout is the address of the connector's page, with the credentials of the installation; its
    ``organization`` is where the platform answers. Nothing is kept after the end.

    Args:
        create_app: Returns the application of a connector, after ``setup_app``.
        connect: Returns the connector; gets ``host_secret``, ``allowed_organizations`` and ``port``.
        port: Where the connector listens, for example ``8082``; the platform takes a free port.
        page: Path of the page that an operator sees, for example ``"/admin"``.
        private_settings: Values of the connector's private settings, over the manifest's defaults.
        settings: Values of its settings.

    Raises:
        InvalidArgumentError: The application was not set up or has no manifest, or a setting is not what it declares.
    """
    platform = Platform()
    connector = connect(host_secret=Runtime.system().ids.secret(), allowed_organizations=[_LOOPBACK], port=port)
    app = create_app(connector)
    with closing(platform), closing(serve(platform, host=_LOOPBACK)) as server:
        organization = platform.create_organization(ORGANIZATION_HOST)
        installed = organization.install(
            f"http://{_LOOPBACK}:{port}",
            manifest=app_extension(app).manifest,
            private_settings=private_settings,
            settings=settings,
        )
        query = urlencode({"ship": installed.id, "secret": installed.secret, "organization": server.address})
        sys.stdout.write(f"http://{_LOOPBACK}:{port}{page}?{query}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):  # the usual end here
            connector.start_app(app, host=_LOOPBACK)
