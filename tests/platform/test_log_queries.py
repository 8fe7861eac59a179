"""Reading the log over HTTP."""

from __future__ import annotations

import pytest

ANN = {"email": "ann@acme.test"}
BOB = {"external_id": "b1"}


@pytest.fixture
def logged(platform, organization, send, call, credentials):
    """Lines about two users, an hour apart, and a line that the connector wrote about one of them."""
    send.traits(ANN, {"plan": "pro"})
    platform.advance(hours=1)
    send.track(BOB, "Seen")
    line = {"message": "outgoing.user.success", "level": "info", "context": {"user_email": "ann@acme.test"}}
    assert call("POST", f"/api/v1/{send.connector.id}/logs", {"logs": [line]}, **credentials)[0] == 200


def events(answer):
    """Return the names of the lines of an answer."""
    return [line["event"] for line in answer[1]["logs"]]


def test_lines_are_found_by_entity(logged, organization, call, admin):
    """An entity's id finds the lines with any of its identifiers, also those of connectors that know its e-mail only."""
    ann = organization.find_user(ANN).id
    assert events(call("GET", f"/api/v1/logs?entity={ann}", **admin)) == [
        "outgoing.user.success",
        "incoming.user.success",
    ]
    assert events(call("GET", "/api/v1/logs?user_external_id=b1", **admin)) == ["incoming.event.success"]
    assert events(call("GET", "/api/v1/logs?user_email=nobody@acme.test", **admin)) == []


def test_a_connector_reads_its_own_lines_and_the_operator_all(logged, organization, call, admin, credentials):
    """Another connector's lines are neither found nor given."""
    second = organization.install(None, manifest={}, secret="theirs")
    theirs = {"Hull_App_Id": second.id, "Hull_Access_Token": "theirs"}
    own = f"/api/v1/{credentials['Hull_App_Id']}/logs"
    assert call("GET", "/api/v1/logs", **credentials)[1]["total"] == 3
    assert call("GET", "/api/v1/logs", **theirs)[1] == {"logs": [], "total": 0}
    assert call("GET", own, **theirs)[0] == 403
    assert call("GET", own, **credentials) == call("GET", own, **admin)
    assert call("GET", f"/api/v1/{second.id}/logs", **admin)[1]["total"] == 0
    assert call("GET", "/api/v1/feedfeedfeedfeedfeedfeed/logs", **admin)[0] == 404
    assert call("GET", "/api/v1/logs")[0] == 401


def test_lines_are_found_by_time_name_and_number(logged, platform, call, admin):
    """From a time on, before a time, below a name; the newest come first, and the total counts all."""
    now = platform.clock.time()
    assert events(call("GET", f"/api/v1/logs?until={now - 60}", **admin)) == ["incoming.user.success"]
    assert events(call("GET", f"/api/v1/logs?since={now - 60}&event=incoming", **admin)) == ["incoming.event.success"]
    assert events(call("GET", "/api/v1/logs?event=incoming.us", **admin)) == []
    status, answer = call("GET", "/api/v1/logs?limit=1", **admin)
    assert (status, events((status, answer)), answer["total"]) == (200, ["outgoing.user.success"], 3)


def test_lines_are_found_by_connector(logged, organization, call, admin):
    """By its id and by its name, whether they came in or went out."""
    other = organization.install(None, manifest={}, name="Other")
    organization.ingest({"type": "traits", "body": {}}, {"io.hull.asUser": ANN}, other.id)
    for parameter in (f"connector_id={other.id}", "connector_name=Other"):
        assert events(call("GET", f"/api/v1/logs?{parameter}", **admin)) == ["incoming.user.success"]
    found = events(call("GET", "/api/v1/logs?connector_name=Fake", **admin))
    assert found == ["outgoing.user.success", "incoming.event.success", "incoming.user.success"]


@pytest.mark.parametrize("query", ["usr_email=x", "since=soon", "limit=0", "limit=x", "limit=1001"])
def test_a_query_that_makes_no_sense_is_refused(logged, call, admin, query):
    """A misspelt filter would find everything; it is an error that names the known ones."""
    status, answer = call("GET", f"/api/v1/logs?{query}", **admin)
    assert (status, query.partition("=")[0] in answer["message"]) == (400, True)
