"""The connector that uses everything, feature by feature."""

from __future__ import annotations

import base64
import hmac
import json
import logging
from urllib.parse import urlsplit

from kitchen_sink.app import connect, create_app
from kitchen_sink.server import log

from hull_sdk.testing import Harness

ANN = {"email": "ann@acme.example"}
BOB = {"email": "bob@acme.example"}
ACME = {"domain": "acme.example"}
PUBLIC = "https://connector.test"
CONNECTED = {"client_id": "hull", "client_secret": "hush", "oauth_tokens": {"access_token": "at-1"}}


def answer(response):
    """Return the decoded body of an answer that says that all went well."""
    assert response.status == 200, response.body
    return json.loads(response.body)


def test_users_are_sent_with_what_the_crm_knows(sink, crm):
    """The fields are asked for once; the id comes back, and what was sent first stays so."""
    for name in ("Ann", "Anna"):
        sink.client.as_user(ANN).traits({"name": name, "plan": "pro"})
        sink.run_until_idle()
    assert crm.contacts["ann@acme.example"] == {**ANN, "id": "c-1", "name": "Anna", "segments": []}
    assert crm.fields_asked == 1
    assert sink.user(ANN)["traits_kitchen_sink/id"] == "c-1"
    assert "kitchen_sink.batch_size" in [metric.name for metric in sink.metrics]


def test_each_message_has_a_result_of_its_own(sink, crm):
    """One that the CRM refuses for now comes again, one that it refuses for good is kept aside, the others are done."""
    crm.refuse["bob@acme.example"] = 503
    for claims in (ANN, BOB, {"email": "eve@invalid.example"}, {"external_id": "nameless"}):
        sink.client.as_user(claims).traits({"name": "x"})
    sink.advance(seconds=20)
    assert set(crm.contacts) == {"ann@acme.example"}
    crm.refuse.clear()
    sink.run_until_idle()
    assert set(crm.contacts) == {"ann@acme.example", "bob@acme.example"}
    (letter,) = sink.organization.dead_letters(sink.connector.id)
    assert letter.reason == "the CRM refuses this domain for good"
    assert "outgoing.user.skip" in [log["event"] for log in sink.logs]


def test_only_selected_segments_are_sent(sink, crm):
    """The connector's own setting chooses whom notifications are for."""
    segment = sink.organization.create_segment("user", "Pro", query={"term": {"traits_plan.exact": "pro"}})
    settings = {**sink.connector.private_settings, "sent_segments": [segment["id"]]}
    sink.organization.update_connector(sink.connector, {"private_settings": settings})
    sink.client.as_user(ANN).traits({"plan": "pro"})
    sink.client.as_user(BOB).traits({"plan": "free"})
    sink.run_until_idle()
    assert set(crm.contacts) == {"ann@acme.example"}
    assert crm.contacts["ann@acme.example"]["segments"] == [segment["id"]]
    assert "kitchen_sink.settings_changed" in [metric.name for metric in sink.metrics]


def test_accounts_get_a_size(sink):
    """The setting says from which number on."""
    sink.client.as_account(ACME).traits({"employees": 120})
    sink.run_until_idle()
    assert sink.account(ACME)["kitchen_sink/size"] == "large"


def test_segments_are_learnt_and_forgotten(sink):
    """All channels of segments are answered with success."""
    for kind in ("user", "account"):
        segment = sink.organization.create_segment(kind, "All", query={"match_all": {}})
        sink.organization.delete_segment(segment["id"])
    sink.run_until_idle()
    channels = {f"{kind}s_segment:{what}" for kind in ("user", "account") for what in ("update", "delete")}
    assert channels <= {delivery.channel for delivery in sink.deliveries}
    assert {delivery.outcome for delivery in sink.deliveries} == {"next"}


def test_contacts_come_on_a_schedule_and_through_jobs(sink, crm):
    """Both lists are read at a time, jobs write them, and the time of the sync is kept among the settings."""
    crm.contacts = {
        f"p{number}@acme.example": {
            "id": f"c-{number}",
            "email": f"p{number}@acme.example",
            "name": f"P {number}",
            "kind": "lead" if number % 2 else "person",
            "company": "acme.example",
        }
        for number in range(60)
    }
    sink.advance(hours=1, seconds=5)
    sink.run_until_idle()
    assert sink.user({"email": "p59@acme.example"})["name"] == "P 59"
    assert sink.account(ACME)["kitchen_sink/known"] is True
    assert sink.connector.private_settings["last_sync"] > 0
    assert sum(metric.value for metric in sink.metrics if metric.name == "kitchen_sink.contacts") == 60


def test_webhooks_come_to_an_address_without_a_secret(sink):
    """The CRM posts an event, later that two contacts were one, and then that they were not."""
    address = urlsplit(answer(sink.request("/webhook-address"))["url"])
    assert sink.connector.secret not in address.query
    post = sink.app.test_client().post
    event = {**ANN, "event": "Mail opened", "id": "e-1"}
    assert post(f"{address.path}?{address.query}", json=event).json == {"status": "tracked"}
    assert post(f"{address.path}?{address.query}", json={**ANN, "merged_id": "9"}).json == {"status": "merged"}
    sink.run_until_idle()
    # The users whom this brings are synchronized meanwhile, which is written as traits.
    assert [each["type"] for each in sink.firehose if each["type"] != "traits"] == ["track", "alias"]
    assert "crm:9" in sink.user(ANN)["anonymous_ids"]
    assert post(f"{address.path}?{address.query}", json={**ANN, "split_id": "9"}).json == {"status": "split"}
    sink.run_until_idle()
    assert "crm:9" not in sink.user(ANN)["anonymous_ids"]


def test_hits_are_counted_in_batches(sink):
    """Five calls become one write."""
    for _ in range(5):
        assert sink.request("/hits", body=ANN).body == b"ok"
    sink.advance(seconds=5)
    assert sink.user(ANN)["traits_kitchen_sink/hits"] == 5
    assert len([each for each in sink.firehose if "kitchen_sink/hits" in each["body"]]) == 1


def test_a_hit_of_nobody_costs_no_other(sink):
    """Whatever stands in it; it is counted."""
    bodies = [ANN, {}, {"email": ""}, {"email": [1]}, [1], ANN]
    for body in bodies:
        assert sink.request("/hits", body=body).status == 200
    sink.advance(seconds=5)
    assert sink.user(ANN)["traits_kitchen_sink/hits"] == 2
    assert [metric.name for metric in sink.metrics].count("kitchen_sink.hits_of_nobody") == 4


def test_everybody_is_exported(sink, crm):
    """What is asked for comes as a file, and through the same function as notifications."""
    sink.client.as_user(ANN).traits({"name": "Ann"})
    sink.run_until_idle()
    crm.contacts.clear()
    assert answer(sink.request("/export", body={}))["id"]
    sink.run_until_idle()
    assert crm.contacts["ann@acme.example"]["name"] == "Ann"


def test_a_file_is_read_row_by_row(sink):
    """Another endpoint gets the file's address and reads it on its own."""
    for claims in (ANN, BOB):
        sink.client.as_user(claims).traits({"name": "x"})
    sink.run_until_idle()
    sink.request("/export", body={"path": "count-rows"})
    sink.run_until_idle()
    (job,) = sink.platform.extract_runs
    assert job.status == 200


def test_somebody_connects_the_crm(unset, crm):
    """From the setup page to the CRM and back; afterwards the status is fine and users are sent."""
    assert answer(unset.request("/status"))["status"] == "setupRequired"
    query = f"ship={unset.connector.id}&organization={unset.organization.host}&secret={unset.connector.secret}"
    browser = unset.app.test_client()
    assert "Not connected yet" in browser.get(f"/auth?{query}", base_url=PUBLIC).text
    sent = browser.get(f"/auth/login?{query}", base_url=PUBLIC)
    back = browser.get(crm.agree(sent.headers["Location"]), base_url=PUBLIC)
    assert "You can close this window" in browser.get(back.headers["Location"], base_url=PUBLIC).text
    assert answer(unset.request("/status")) == {"status": "ok", "messages": []}
    unset.client.as_user(ANN).traits({"name": "Ann"})
    unset.run_until_idle()
    assert "ann@acme.example" in crm.contacts


def test_legacy_notifications_have_to_be_signed(sink):
    """A notification of the older generation without a signature is refused."""
    query = {"ship": sink.connector.id, "organization": sink.organization.host, "secret": sink.connector.secret}
    envelope = {"Type": "Notification", "MessageId": "m-1", "Subject": "user_report:update", "Message": "{}"}
    headers = {"X-Amz-Sns-Message-Type": "Notification"}
    refused = sink.app.test_client().post("/notify", query_string=query, json=envelope, headers=headers)
    assert refused.status_code == 401


def test_legacy_notifications_reach_the_same_code(crm):
    """A notification of the older generation is collected with others, and its user is sent like any other."""
    app = create_app({"host_secret": "a secret of the host for tests", "skip_signature_validation": True})
    with Harness(app, private_settings=CONNECTED) as harness:
        harness.service("api.crm.example", crm.api)
        query = {
            "ship": harness.connector.id,
            "organization": harness.organization.host,
            "secret": harness.connector.secret,
        }
        payload = {"user": {"id": "5a7962e2793d3e942a03b29d", **ANN, "name": "Ann"}, "segments": [], "events": []}
        envelope = {
            "Type": "Notification",
            "MessageId": "m-1",
            "Subject": "user_report:update",
            "Timestamp": "2024-01-01T00:00:00.000Z",
            "Message": json.dumps(payload),
        }
        headers = {"X-Amz-Sns-Message-Type": "Notification"}
        answered = app.test_client().post("/notify", query_string=query, json=envelope, headers=headers)
        assert answered.status_code == 200, answered.text
        harness.advance(seconds=15)
    assert crm.contacts["ann@acme.example"]["name"] == "Ann"


def test_a_request_keeps_the_id_of_the_proxy(sink):
    """What stands before the connector names the request, and the logs have the name."""
    query = {"ship": sink.connector.id, "organization": sink.organization.host, "secret": sink.connector.secret}
    headers = {"X-Amzn-Trace-Id": "Root=1-abc"}
    sink.app.test_client().post("/webhook", query_string=query, json={}, headers=headers)
    assert "Root=1-abc" in [log["fields"].get("request_id") for log in sink.logs]


def signed_in(sink, user_id, at):
    """Return the cookie that the platform gives a browser."""
    signature = hmac.new(sink.connector.secret.encode(), f"{at:.0f}-{user_id}".encode(), "sha1").hexdigest()
    value = {"Hull-User-Id": user_id, "Hull-User-Sig": f"{at:.0f}.{signature}"}
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_a_browser_sees_who_is_signed_in(sink):
    """Without the platform's cookie nobody is there; with it one sees the notes, whose addresses are one in metrics."""
    sink.client.as_user(ANN).traits({"name": "Ann"})
    sink.run_until_idle()
    query = {"ship": sink.connector.id, "organization": sink.organization.host, "secret": sink.connector.secret}
    browser = sink.app.test_client()
    assert browser.get("/me", query_string=query, base_url=PUBLIC).status_code == 401
    cookie = signed_in(sink, sink.user(ANN)["id"], sink.platform.clock.time())
    browser.set_cookie(f"hull_{sink.connector.id}", cookie, domain="connector.test")
    page = browser.get("/me", query_string=query, base_url=PUBLIC).json
    assert page == {"email": "ann@acme.example", "notes": [{"about": "c-1"}]}
    assert any("/contacts/{id}/notes" in str(metric.tags) for metric in sink.metrics)


def test_jobs_in_memory_need_no_worker_of_their_own():
    """The worker's entry knows the jobs; without a store that processes share it has nothing to wait for."""
    connector = connect({"host_secret": "a secret of the host for tests"})
    create_app(connector=connector)
    connector.start_worker()
    connector.close()


def test_lines_about_users_reach_hull(sink):
    """What the connector logs about a person stands in the organization's log."""
    logger, handler = logging.getLogger("hull_sdk.client"), log()
    try:
        sink.client.as_user({"external_id": "nameless"}).traits({"name": "x"})
        sink.run_until_idle()
        sink.advance(seconds=2)
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert "outgoing.user.skip" in [entry.event for entry in sink.organization.log]
