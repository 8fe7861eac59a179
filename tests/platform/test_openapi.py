"""The API's description of itself: it is complete, and names every status."""

from __future__ import annotations

import re

from hull_sdk.platform.api.app import API


def _routes():
    """Return method and path of every route, as they are written in OpenAPI."""
    rules = API.rules.iter_rules()
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in rules
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


def _operations(document):
    return {
        (method.upper(), path): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def _references(value):
    if isinstance(value, dict):
        found = [value["$ref"].rpartition("/")[2]] if "$ref" in value else []
        return found + [name for each in value.values() for name in _references(each)]
    return [name for each in value for name in _references(each)] if isinstance(value, list) else []


def test_the_description_is_served_to_everybody(call, organization):
    """It needs no credentials, and says which version of OpenAPI it is written in."""
    status, document = call("GET", "/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")


def test_every_route_is_described_and_nothing_else(call, organization):
    """No route is without a description, and no description without a route."""
    assert set(_operations(call("GET", "/openapi.json")[1])) == _routes()


def test_every_status_is_named_by_its_number(call, organization):
    """There is no answer called default, and none for a whole class of statuses."""
    for operation in _operations(call("GET", "/openapi.json")[1]).values():
        assert all(re.fullmatch(r"[245]\d\d", status) for status in operation["responses"])
        assert any(status in operation["responses"] for status in ("200", "201"))


def test_every_reference_leads_to_a_schema_that_is_used(call, organization):
    """Named schemas and what points to them agree."""
    document = call("GET", "/openapi.json")[1]
    assert set(_references(document)) == set(document["components"]["schemas"])


def test_operations_have_names_of_their_own_and_known_credentials(call, organization):
    """Generated clients can tell all operations apart and know what to send."""
    document = call("GET", "/openapi.json")[1]
    operations = list(_operations(document).values())
    assert len({each["operationId"] for each in operations}) == len(operations)
    named = {name for each in operations for scheme in each["security"] for name in scheme}
    assert named == set(document["components"]["securitySchemes"])
