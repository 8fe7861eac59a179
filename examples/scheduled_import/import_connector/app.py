"""Puts everything together; ``gunicorn "import_connector.app:create_app()"`` serves it."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, Flask, Response, make_response, render_template, url_for

from hull_sdk import Connector, current_context
from hull_sdk.handlers import action_handler, status_handler
from import_connector.files import files
from import_connector.health import last_run_is_well
from import_connector.runs import import_file, job_of, retry
from import_connector.settings import private_settings
from import_connector.source import shown

__all__ = ["connect", "create_app"]

#: A schedule's call that comes twice within this time is one, in seconds.
ONCE_S: Final = 600

pages = Blueprint("pages", __name__)


@pages.get("/admin")
def admin() -> Response:
    """Show what the last run did, and the button that begins one."""
    ctx = current_context
    ctx.credentials()
    settings = private_settings(ctx)
    response = make_response(
        render_template(
            "admin.html",
            address=shown(settings["url"]),
            run=settings["last_run"],
            file=settings["last_file"],
            job=job_of(ctx),
            import_url=url_for("begin.handle", hullToken=ctx.token),
            bad_rows_url=url_for("files.bad_rows", hullToken=ctx.token),
        )
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def connect(**options: Any) -> Connector:
    """Return the connector.

    Args:
        **options: Options of ``Connector`` over those of the environment, for example ``host_secret="..."``.
    """
    return Connector(**options)


def create_app(connector: Connector | None = None) -> Flask:
    """Return the application.

    Args:
        connector: What :func:`connect` returned, or ``None`` for one that the environment configures.
    """
    app = Flask(__name__)
    app.register_blueprint(action_handler(import_file, once_in_s=ONCE_S), url_prefix="/import")
    app.register_blueprint(action_handler(import_file), name="begin", url_prefix="/import-now")
    app.register_blueprint(action_handler(retry), url_prefix="/retry")
    app.register_blueprint(status_handler(last_run_is_well), url_prefix="/status")
    app.register_blueprint(files)
    app.register_blueprint(pages)
    return (connect() if connector is None else connector).setup_app(app)
