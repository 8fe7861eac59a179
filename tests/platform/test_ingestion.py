"""The door, the final states, and one unit of work per message."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingestion_kit import CONNECTOR, Bench, claims_for, signed

from hull_sdk.core import json as wire_json
from hull_sdk.core.runtime import Runtime
from hull_sdk.platform import ingestion
from hull_sdk.platform.population import Population


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


def codes(bench, *messages):
    """Send a batch; return how many were accepted and the codes of the others."""
    accepted, rejections = bench.organization.receive(list(messages), CONNECTOR)
    return accepted, [rejection.code for rejection in rejections]


def test_a_good_batch_is_applied(bench):
    """Each message of a batch is checked and applied in order."""
    batch = [
        signed(bench, "traits", {"plan": "pro"}, user={"email": "ann@acme.test"}, message_id="m1"),
        signed(bench, "track", {"event": "Ordered"}, user={"email": "ann@acme.test"}, message_id="m2"),
    ]
    assert bench.organization.receive(batch, CONNECTOR) == (2, [])
    assert [record.state for record in bench.organization.records] == ["applied", "applied"]
    assert bench.report(email="ann@acme.test")["traits_plan"] == "pro"


def test_what_is_refused_at_the_door_names_a_code_and_spares_the_rest(bench):
    """Each refused message has its place, id, code and reason; the others are applied."""
    user = {"email": "ann@acme.test"}
    batch = [
        signed(bench, "traits", {"a": 1}, user=user, secret="another-secret", message_id="m0"),
        signed(bench, "identify", {}, user=user),
        signed(bench, "traits", {"a": 1}, user={"email": " "}),
        signed(bench, "traits", {"a": "x" * 600_000}, user=user),
        signed(bench, "track", {"properties": {}}, user=user),
        signed(bench, "traits", {"a": 1}, user=user),
    ]
    accepted, rejections = bench.organization.receive(batch, CONNECTOR)
    assert accepted == 1
    assert [(r.index, r.code) for r in rejections] == [
        (0, "BAD_TOKEN"),
        (1, "UNKNOWN_TYPE"),
        (2, "NO_IDENTIFIER"),
        (3, "TOO_LARGE"),
        (4, "INVALID_MESSAGE"),
    ]
    assert rejections[0].message_id == "m0"
    assert bench.organization.record_counts == {"applied": 1, "merged": 0, "ignored": 0, "failed": 5}


@pytest.mark.attack("deep JSON")
def test_a_message_is_flat_enough_to_be_worked_with(bench):
    """Deep values are taken up to a limit and can be compared; deeper ones are refused at the door."""
    fine, refused = json.loads('{"a":' * 95 + "1" + "}" * 95), json.loads('{"a":' * 120 + "1" + "}" * 120)
    user = {"email": "ann@acme.test"}
    batch = [signed(bench, "traits", {"tree": value}, user=user) for value in (fine, fine, refused)]
    accepted, (rejection,) = bench.organization.receive(batch, CONNECTOR)
    assert (accepted, rejection.code) == (2, "INVALID_MESSAGE")
    assert "100 levels" in rejection.reason
    bench.organization.create_segment("user", "All", query={})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"headers": {}}, "needs a token"),
        ({"headers": {"Hull-Access-Token": CONNECTOR.secret}}, "malformed"),
        ({"headers": None}, "needs a token"),
    ],
)
def test_the_raw_secret_is_no_token_of_a_message(bench, change, reason):
    """A message without a signed token of its own is refused with a reason that says so."""
    message = {**signed(bench, "traits", {}, user={"email": "ann@acme.test"}), **change}
    rejection = bench.organization.accept(message, connector=CONNECTOR)
    assert rejection.code == "BAD_TOKEN"
    assert reason in rejection.reason
    assert bench.organization.records == []


@pytest.mark.attack("a token of one connector at another")
def test_a_token_of_another_connector_is_refused(bench):
    """The issuer of the token must be the connector that sends the batch."""
    message = signed(bench, "traits", {}, user={"email": "ann@acme.test"}, issuer="somebody")
    assert bench.organization.accept(message, connector=CONNECTOR).code == "BAD_TOKEN"


@pytest.mark.attack("expired and future tokens")
def test_tokens_are_checked_against_the_real_clock():
    """Moving domain time outdates no token."""
    bench = Bench()
    message = signed(bench, "traits", {}, user={"email": "ann@acme.test"})
    bench.organization.clock = type(bench.runtime.clock)(bench.runtime.clock.now().replace(year=2030))
    assert bench.organization.accept(message, connector=CONNECTOR) is None


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "traits",
        {"type": "traits", "body": []},
        {"type": "traits", "body": {"a": {"operation": "multiply", "value": 2}}},
        {"type": "traits", "body": {"a": {"operation": "inc", "value": "many"}}},
        {"type": "traits", "body": {}, "message_id": 7},
        {"type": "track", "body": {"event": ""}},
        {"type": "track", "body": {"event": "x", "properties": [1]}},
        {"type": "track", "body": {"event": "x", "created_at": "yesterday"}},
        {"type": "track", "body": {"event": "x", "event_id": {"a": 1}}},
        {"type": "alias", "body": {}},
        {"type": "alias", "body": {"anonymous_id": True}},
    ],
)
def test_malformed_messages_are_refused_and_change_nothing(bench, message):
    """A message that breaks a rule ends as failed and creates nobody."""
    record = bench.organization.ingest(message, claims_for({"email": "ann@acme.test"}), CONNECTOR.id)
    assert record.state == "failed"
    assert record.reason.startswith("INVALID_MESSAGE")
    assert bench.users() == []


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"io.hull.asUser": {"email": True}}, "INVALID_MESSAGE"),
        ({"io.hull.asUser": 7}, "INVALID_MESSAGE"),
        ({"io.hull.asUser": {"email": "a@b.test"}, "io.hull.subjectType": "robot"}, "INVALID_MESSAGE"),
        ({}, "NO_IDENTIFIER"),
        ({"io.hull.asUser": {"plan": "pro"}}, "NO_IDENTIFIER"),
        (
            {
                "io.hull.asUser": {"email": "a@b.test"},
                "io.hull.asAccount": {"domain": "gmail.com"},
                "io.hull.subjectType": "account",
            },
            "NO_IDENTIFIER",
        ),
    ],
)
def test_unusable_claims_are_refused(bench, claims, code):
    """Claims of a wrong shape or without an identifier are refused with the code that says which."""
    record = bench.organization.ingest({"type": "traits", "body": {}}, claims, None)
    assert record.reason.startswith(code)


def test_the_subject_of_a_token_may_stand_in_sub(bench):
    """A Hull id in ``sub`` names the subject when the claim itself is missing."""
    ann = bench.traits({"email": "ann@acme.test"}).entity_id
    record = bench.organization.ingest(
        {"type": "traits", "body": {}}, {"sub": ann, "io.hull.subjectType": "user"}, None
    )
    assert record.entity_id == ann


@pytest.mark.attack("replay")
def test_a_message_id_is_applied_once_a_day(bench):
    """The same id counts as accepted and changes nothing, until a day of domain time has passed."""
    message = signed(bench, "traits", {"n": {"operation": "inc"}}, user={"email": "ann@acme.test"}, message_id="m1")
    for _ in range(3):
        assert bench.organization.receive([message], CONNECTOR) == (1, [])
    assert bench.report(email="ann@acme.test")["traits_n"] == 1
    assert bench.organization.trace("m1").repeats == 2
    assert bench.organization.record_counts["applied"] == 1
    bench.runtime.clock.move_to(86_400.0)
    again = signed(bench, "traits", {"n": {"operation": "inc"}}, user={"email": "ann@acme.test"}, message_id="m1")
    bench.organization.receive([again], CONNECTOR)
    assert bench.report(email="ann@acme.test")["traits_n"] == 2


def test_a_refused_message_may_come_again_under_its_id(bench):
    """What the door refused is not remembered, so a mended message is applied."""
    assert codes(bench, signed(bench, "track", {"event": ""}, user={"email": "a@b.test"}, message_id="m")) == (
        0,
        ["INVALID_MESSAGE"],
    )
    assert codes(bench, signed(bench, "track", {"event": "x"}, user={"email": "a@b.test"}, message_id="m")) == (1, [])
    assert bench.organization.trace("m").state == "applied"


def test_a_refused_repetition_leaves_the_first_state(bench):
    """A repetition whose token is refused does not overwrite what became of the message."""
    good = signed(bench, "traits", {}, user={"email": "a@b.test"}, message_id="m")
    bench.organization.receive([good], CONNECTOR)
    codes(bench, signed(bench, "traits", {}, user={"email": "a@b.test"}, message_id="m", secret="wrong"))
    assert bench.organization.trace("m").state == "applied"


def test_messages_without_an_id_are_listed_as_not_idempotent(bench):
    """A message without an id is applied each time it comes, and its record says so."""
    for _ in range(2):
        record = bench.traits({"email": "ann@acme.test"}, {"n": {"operation": "inc"}})
        assert record.idempotent is False
    assert bench.report(email="ann@acme.test")["traits_n"] == 2


def test_an_error_leaves_nothing_half_applied(bench, monkeypatch):
    """When applying breaks in the middle, tables, schema and views are as before, and the message has failed."""
    bench.traits({"email": "ann@acme.test"}, {"plan": "free"})
    bench.traits({"anonymous_id": "a"})
    before = {key: bench.organization.state()[key] for key in ("users", "accounts", "events", "attributes")}
    monkeypatch.setitem(ingestion._APPLY, "traits", lambda *_: 1 / 0)
    bench.changes.clear()
    record = bench.send(
        "traits",
        {"new": 1},
        user={"email": "ann@acme.test", "anonymous_id": "a"},
        account={"domain": "acme.test"},
        message_id="m",
    )
    assert record.state == "failed"
    assert "ZeroDivisionError" in record.reason
    assert {key: bench.organization.state()[key] for key in before} == before
    assert bench.changes == []
    monkeypatch.undo()
    assert bench.traits({"email": "ann@acme.test", "anonymous_id": "a"}).state == "merged"


def test_an_equal_write_is_no_change(bench):
    """Writing the values that are there publishes nothing and moves no date."""
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro", "tags": ["a"], "raw": {"k": [1]}})
    before = bench.report(email="ann@acme.test")
    bench.runtime.clock.move_to(3600.0)
    bench.changes.clear()
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro", "tags": ["a"], "raw": {"k": [1]}})
    assert bench.changes == []
    assert bench.report(email="ann@acme.test") == before


def test_the_first_message_tells_of_a_new_user(bench):
    """A new user is published with the event "User created", which holds what was captured."""
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro"})
    (change,) = bench.changes
    assert (change.is_new, change.before, change.kind) == (True, None, "user")
    (event,) = change.events
    assert event["event"] == "User created"
    assert event["properties"] == {"email": "ann@acme.test", "plan": "pro", "created_at": "2024-01-01T00:00:00Z"}
    assert bench.organization.tracked_events() == 0


def test_a_track_has_the_shape_of_the_wire(bench):
    """The body's keys are arranged into the event's fixed context."""
    bench.track(
        {"anonymous_id": "a"},
        "Ordered",
        {"sku": "A1"},
        event_id="e1",
        created_at=1704448800,
        ip="203.0.113.9",
        url="https://shop.test/p/1?utm_source=mail&utm_campaign=may",
        referer="https://search.test/q",
        useragent="Agent/1",
        source="shop",
        type="order",
        _sid="s1",
    )
    (event,) = bench.events("Ordered")
    assert event["context"] == {
        "ip": "203.0.113.9",
        "useragent": "Agent/1",
        "page": {"url": "https://shop.test/p/1?utm_source=mail&utm_campaign=may", "host": "shop.test", "path": "/p/1"},
        "referrer": {"url": "https://search.test/q", "host": "search.test", "path": "/q"},
        "campaign": {"source": "mail", "name": "may"},
        "device": {"name": "Other"},
        "days_since_signup": 4,
    }
    assert event["created_at"] == "2024-01-05T10:00:00Z"
    assert (event["event_source"], event["event_type"], event["session_id"]) == ("shop", "order", "s1")
    assert (event["anonymous_id"], event["app_id"], event["app_name"]) == ("a", CONNECTOR.id, "Demo")
    assert event["user_id"] == bench.user(anonymous_id="a").id


@pytest.mark.parametrize("body", [{"ip": None}, {"ip": "0"}, {"ip": 0}, {"referrer": None, "url": None}])
def test_a_server_call_has_no_address(bench, body):
    """A missing or zero address leaves no trace in the context; the event's time is domain time."""
    bench.track({"email": "ann@acme.test"}, "Ordered", **body)
    (event,) = bench.events("Ordered")
    assert event["context"] == {"days_since_signup": 0}
    assert event["created_at"] == "2024-01-01T00:00:00Z"


def test_properties_have_neither_a_schema_nor_a_limit(bench):
    """A thousand of them are kept under their names, and the same name may be of another type in the next event."""
    many = {f"property {number}": number for number in range(1000)}
    bench.track({"external_id": "1"}, "Ordered", {**many, "total": 129.0, "Paid.at": None})
    bench.track({"external_id": "1"}, "Ordered", {"total": "129 EUR"})
    first, second = bench.events("Ordered")
    assert first["properties"] == {**many, "total": 129.0, "Paid.at": None}
    assert second["properties"] == {"total": "129 EUR"}
    assert set(bench.organization.schema("user")) == {"created_at"}


def test_an_event_id_is_unique_and_moves_to_the_second_writer(bench):
    """The second write of an event id replaces the event, counts once, and belongs to its own user."""
    bench.track({"external_id": "1"}, "Ordered", {"n": 1}, event_id="e1")
    bench.track({"external_id": "2"}, "Ordered", {"n": 2}, event_id="e1")
    assert bench.organization.tracked_events() == 1
    (event,) = bench.events("Ordered")
    assert (event["properties"], event["user_id"]) == ({"n": 2}, bench.user(external_id="2").id)


def test_the_same_event_again_is_no_news(bench):
    """An event that comes again unchanged is not published again."""
    bench.track({"external_id": "1"}, "Ordered", event_id="e1", created_at="2024-01-01T00:00:00Z")
    bench.changes.clear()
    bench.track({"external_id": "1"}, "Ordered", event_id="e1", created_at="2024-01-01T00:00:00Z")
    assert bench.changes == []


def test_accounts_have_no_events(bench):
    """An event about an account fails, and nobody is created for it."""
    record = bench.send(
        "track", {"event": "x"}, user={"email": "a@b.test"}, account={"domain": "b.test"}, subject="account"
    )
    assert (record.state, record.reason) == ("failed", "accounts have no events")
    assert bench.users() == bench.accounts() == []


@pytest.mark.parametrize("way", ["claim", "body"])
def test_active_users_are_marked_for_ten_minutes(bench, way):
    """A claim or the body marks the user and its account active until ten minutes have passed."""
    bench.traits({"email": "ann@acme.test"}, account={"domain": "acme.test"})
    user, account = bench.user(email="ann@acme.test").id, bench.account(domain="acme.test").id
    assert not bench.organization.is_active("user", user)
    if way == "claim":
        bench.traits({"email": "ann@acme.test"}, active=True)
    else:
        bench.track({"email": "ann@acme.test"}, "Seen", active=True)
    assert bench.organization.is_active("user", user)
    assert bench.organization.is_active("account", account)
    bench.runtime.clock.move_to(600.0)
    assert not bench.organization.is_active("user", user)


def test_the_state_is_plain_and_repeats():
    """Two runs of the same messages dump to the same JSON."""

    def run():
        bench = Bench()
        bench.organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}})
        bench.traits({"anonymous_id": "a"}, {"plan": "pro"}, account={"domain": "acme.test"})
        bench.track({"external_id": "1", "anonymous_id": "a"}, "Seen")
        return json.dumps(bench.organization.state())

    assert run() == run()


@pytest.mark.attack("another organization's connector id and secret")
def test_organizations_never_meet():
    """What one organization is told is not seen in another one on the same runtime."""
    one, two = Bench(), Bench()
    one.traits({"email": "ann@acme.test"})
    assert two.users() == []
    assert two.organization.records == []


KEYS = [
    "type",
    "body",
    "event",
    "properties",
    "event_id",
    "created_at",
    "anonymous_id",
    "email",
    "plan",
    "operation",
    "value",
    "url",
    "ip",
    "referrer",
    "page",
    "n_at",
]
JSON = st.recursive(
    st.sampled_from([None, True, "", "traits", "track", "alias", "a", "\ud800", "http://[x", "2024-13-01", "inc"])
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 1e308, 1e17])
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
CLAIMED = st.dictionaries(st.sampled_from(["id", "email", "external_id", "anonymous_id", "domain"]), JSON, max_size=3)


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(
    st.sampled_from(["traits", "track", "alias", "unalias"]),
    JSON
    | st.fixed_dictionaries(
        {"event": st.just("x"), "anonymous_id": st.just("a")},
        optional=dict.fromkeys([key for key in KEYS if key not in {"event", "anonymous_id"}], JSON),
    ),
    st.fixed_dictionaries(
        {"io.hull.asUser": CLAIMED | st.just({"email": "a@b.test"})},
        optional={"io.hull.asAccount": CLAIMED, "io.hull.subjectType": JSON, "sub": JSON},
    ),
)
def test_any_message_ends_in_a_recorded_state(kind, body, claims):
    """Whatever is sent ends in one of the four states without an internal error, and the state stays plain JSON."""
    bench = Bench()
    for _ in range(2):
        record = bench.organization.ingest({"type": kind, "body": body}, claims, CONNECTOR.id)
        assert record.state in {"applied", "merged", "ignored", "failed"}
        assert record.reason is None or "internal error" not in record.reason
    dump = bench.organization.state()
    wire_json.dumps([dump["users"], dump["accounts"], dump["events"]])


@pytest.mark.parametrize("value", [float("inf"), float("nan"), {1, 2}])
def test_what_is_no_json_is_refused(bench, value):
    """A value that no body could carry on to a connector is refused, whichever way it comes in."""
    record = bench.traits({"email": "ann@acme.test"}, {"plan": value})
    assert record.reason.startswith("INVALID_MESSAGE")
    assert bench.users() == []


def test_threads_do_not_lose_a_count():
    """Messages that come in on several threads are applied one after the other."""
    runtime = Runtime.system()
    organization = Population("acme.hullapp.test", runtime=runtime, clock=runtime.clock)

    def count(worker):
        for number in range(50):
            message = {"type": "traits", "body": {"n": {"operation": "inc"}}, "message_id": f"{worker}-{number}"}
            organization.ingest(message, claims_for({"email": "ann@acme.test"}), None)

    for future in [runtime.tasks.spawn(count, worker) for worker in range(6)]:
        future.result(timeout=30)
    (user,) = organization.entities("user")
    assert user.attributes["n"] == 300
    assert organization.record_counts["applied"] == 300
