"""The pages of an authorization: built-in ones, or templates of the application; all of them are escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Response, make_response, render_template, render_template_string

from hull_sdk.errors import InvalidArgumentError

__all__ = ["DEFAULT_REASON", "REASONS", "VIEWS", "checked_views", "no_trace", "page"]

#: The pages that an application may replace.
VIEWS: Final = ("home", "login", "success", "failure")

#: Why an authorization failed, by what stands in the address of the page; nothing else is shown.
REASONS: Final = {
    "denied": "The authorization was not granted.",
    "state": "The authorization is unknown, too old, was used before or began in another browser. Please start again.",
    "token": "The other service did not hand out an access token. Please try again later.",
    "setup": "The authorization was granted, but the connector could not be set up. Please try again later.",
}
DEFAULT_REASON: Final = "The authorization failed. Please start again."

_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{{ name }}</title></head>
<body>
<h1>{{ name }}</h1>
%s
</body>
</html>
"""
_LOGIN_FORM: Final = """<form method="post" action="{{ urls.login }}" target="_blank" rel="noopener">
<button type="submit">%s</button>
</form>"""

_BUILT_IN: Final = {
    "home": _PAGE % f"<p>Connected.</p>\n{_LOGIN_FORM % 'Connect again'}",
    "login": _PAGE % f"<p>Not connected yet.</p>\n{_LOGIN_FORM % 'Connect'}",
    "success": _PAGE % "<p>Connected. You can close this window.</p>",
    "failure": _PAGE % "<p>{{ reason }}</p>",
}

#: Templates of other names would not be escaped.
_ESCAPED: Final = (".html", ".htm", ".xhtml")


def checked_views(views: Mapping[str, str] | None) -> dict[str, str]:
    """Check the option ``views``.

    Args:
        views: Names of templates by page.

    Raises:
        InvalidArgumentError: A page is unknown, or a template's name does not end as one that is escaped.
    """
    checked = {} if views is None else dict(views)
    for view, template in checked.items():
        if view not in VIEWS:
            raise InvalidArgumentError(f"{view!r} is no view of oauth_handler; use {', '.join(VIEWS)}")
        if not isinstance(template, str) or not template.endswith(_ESCAPED):
            raise InvalidArgumentError(
                f"the view {view!r} is {template!r}; name a template that ends with {', '.join(_ESCAPED)}, "
                "since others are not escaped"
            )
    return checked


def page(views: Mapping[str, str], view: str, **values: Any) -> Response:
    """Return a page.

    Args:
        views: Templates of the application.
        view: Which page.
        **values: What its template may show; never a secret.
    """
    template = views.get(view)
    if template is None:
        return no_trace(make_response(render_template_string(_BUILT_IN[view], **values)))
    return no_trace(make_response(render_template(template, **values)))


def no_trace(response: Response) -> Response:
    """Keep an answer out of caches, and its address from other sites."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
