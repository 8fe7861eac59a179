"""What the operator of an organization does: connectors, segments, settings.

Rules: section "REST" of ``docs/protocol.md``. The admin secret stands in ``Hull-Access-Token``, without
``Hull-App-Id``.
"""

from __future__ import annotations

from typing import Any, Final

from werkzeug.routing import Rule

from hull_sdk.platform.api.access import Caller, operator
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.objects import document
from hull_sdk.platform.api.routing import Route, created, present_request, rules
from hull_sdk.platform.checks import check_known

__all__ = ["admin_routes"]

_CONNECTOR_KEYS: Final = ("url", "manifest", "name", "settings", "private_settings", "id", "secret")
_PLATFORM_KEYS: Final = ("name", "domains", "id", "secret")
_SEGMENT_KEYS: Final = ("name", "predicate", "query", "id")


def admin_routes() -> list[Rule]:
    """Return the routes for the operator."""
    return rules("/api/v1", _ROUTES, operator)


def _create_connector(caller: Caller) -> dict[str, Any]:
    body = _known(_CONNECTOR_KEYS)
    if body.get("url") is None and body.get("manifest") is None:
        refuse(400, "a connector needs a url, or a manifest when it only writes")
    connector = caller.organization.install(body.pop("url", None), **body)
    return created(connector.to_wire(with_secret=True))


def _create_platform(caller: Caller) -> dict[str, Any]:
    body = _known(_PLATFORM_KEYS)
    platform = caller.organization.create_platform(body.pop("name", None), **body)
    return created(platform.to_wire(with_secret=True))


def _platforms(caller: Caller) -> list[dict[str, Any]]:
    return [each.to_wire() for each in caller.organization.connectors.values() if each.type == "platform"]


def _put_identities(caller: Caller, object_id: str) -> dict[str, Any]:
    if not caller.organization.set_identities(object_id, read_object(present_request())):
        refuse(404, "User not found")
    return document(caller, "user", object_id)


def _create_segment(caller: Caller, kind: str) -> dict[str, Any]:
    body = _known(_SEGMENT_KEYS)
    return created(caller.organization.create_segment(kind, body.pop("name", ""), **body))


def _settings(caller: Caller) -> dict[str, Any]:
    return caller.organization.settings.to_wire()


def _put_settings(caller: Caller) -> dict[str, Any]:
    return caller.organization.update_settings(read_object(present_request())).to_wire()


def _known(names: tuple[str, ...]) -> dict[str, Any]:
    body = read_object(present_request())
    check_known(body, names)
    return body


_ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/connectors", _create_connector),
    ("GET", "/platforms", _platforms),
    ("POST", "/platforms", _create_platform),
    ("POST", "/users_segments", lambda caller: _create_segment(caller, "user")),
    ("POST", "/accounts_segments", lambda caller: _create_segment(caller, "account")),
    ("PUT", "/<object_id>/identities", _put_identities),
    ("GET", "/settings", _settings),
    ("PUT", "/settings", _put_settings),
)
