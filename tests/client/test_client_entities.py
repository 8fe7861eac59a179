"""Scoped clients: what each call puts on the wire."""

from __future__ import annotations

import json

import jwt
import pytest
from client_sinks import HOST, ID, SECRET, claims_of

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire import tokens

ANN = {"email": "ann@acme.test"}


def sent(client, sink):
    """Flush, and return what the sink accepted."""
    client.flush()
    return sink.accepted


def test_a_request_carries_the_connector_s_identity(client, sink):
    """Organization, id and secret stand in the headers of the request."""
    client.as_user(ANN).traits({"a": 1}).result()
    assert sink.headers["hull-organization"] == HOST
    assert sink.headers["hull-app-id"] == ID
    assert sink.headers["hull-access-token"] == SECRET
    assert sink.headers["user-agent"].startswith("hull-sdk-python/")


@pytest.mark.shows("Client.asAccount", "Client.asUser", "Client.traits")
def test_a_traits_message_has_the_form_of_the_protocol(client, sink):
    """Type, body, token, timestamp and message id are there, and the Future resolves to the id."""
    future = client.as_user(ANN).traits({"plan": "pro"})
    (message,) = sent(client, sink)
    assert {key: message[key] for key in ("type", "body", "timestamp")} == {
        "type": "traits",
        "body": {"plan": "pro"},
        "timestamp": "2024-01-01T00:00:00.000Z",
    }
    assert future.result() == message["message_id"]
    assert "requestId" not in message


@pytest.mark.shows("Client option: secret", "Client.token")
def test_the_token_verifies_with_the_secret(client, sink):
    """A standard library for tokens accepts it and finds the claims."""
    client.as_user(ANN).traits({"a": 1})
    (message,) = sent(client, sink)
    token = message["headers"]["Hull-Access-Token"]
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_iat": False})
    assert claims == {"iss": ID, "iat": 1704067200, "io.hull.asUser": ANN, "io.hull.subjectType": "user"}


@pytest.mark.shows("asUser option: active", "asUser option: create", "asUser option: scopes")
def test_create_and_active_are_written_only_when_they_differ(client):
    """The defaults stay out of the token; false and true are transmitted."""
    plain, special = client.as_user(ANN), client.as_user(ANN, create=False, active=True, scopes=("admin",))
    decode = lambda c: claims_of({"headers": {"Hull-Access-Token": c.token()}})  # noqa: E731
    assert not {"io.hull.create", "io.hull.active", "scopes"} & decode(plain).keys()
    assert decode(special) | {"iat": 0} == {
        "iss": ID,
        "iat": 0,
        "io.hull.asUser": ANN,
        "io.hull.subjectType": "user",
        "io.hull.create": False,
        "io.hull.active": True,
        "scopes": ["admin"],
    }


@pytest.mark.shows("Client.account")
def test_an_account_beside_a_user_is_linked(client, sink):
    """user.account(claims) names both, the account being the subject, and keeps the user's options."""
    client.as_user(ANN, create=False).account({"domain": "acme.test"}).traits({"plan": "pro"})
    (message,) = sent(client, sink)
    claims = claims_of(message)
    assert claims["io.hull.asUser"] == ANN
    assert claims["io.hull.asAccount"] == {"domain": "acme.test"}
    assert (claims["io.hull.subjectType"], claims["io.hull.create"]) == ("account", False)


@pytest.mark.shows("Client.account")
def test_account_without_claims_is_the_linked_one(client, sink):
    """user.account() names the user only, and asks for the account."""
    client.as_user(ANN).account().traits({"plan": "pro"})
    claims = claims_of(sent(client, sink)[0])
    assert claims["io.hull.subjectType"] == "account"
    assert "io.hull.asAccount" not in claims


@pytest.mark.shows("Client.asUser")
def test_a_plain_id_becomes_the_subject(client, sink):
    """A text is a Hull id, and stands in sub as well."""
    client.as_account("5a7962e2793d3e942a03b29b").traits({"a": 1})
    claims = claims_of(sent(client, sink)[0])
    assert claims["sub"] == "5a7962e2793d3e942a03b29b"
    assert claims["io.hull.asAccount"] == {"id": "5a7962e2793d3e942a03b29b"}


@pytest.mark.shows("Client option: accountClaim", "Client option: userClaim")
def test_a_whole_user_can_be_claimed(client, sink):
    """Of a report only the identifiers count, without nulls."""
    client.as_user({"id": None, "email": "ann@acme.test", "traits_plan": "pro", "segment_ids": []}).traits({"a": 1})
    assert claims_of(sent(client, sink)[0])["io.hull.asUser"] == ANN


def test_a_token_is_fresh_each_second(client, runtime):
    """Within a second it is the same, later it is issued anew."""
    user = client.as_user(ANN)
    first = user.token()
    assert user.token() == first
    runtime.clock.move_to(1.0)
    assert claims_of({"headers": {"Hull-Access-Token": user.token()}})["iat"] == 1704067201


@pytest.mark.shows("Client.track")
def test_a_track_message_has_context_beside_properties(client, sink):
    """Context keys stand beside the properties and never replace event or properties."""
    client.as_user(ANN).track("Ordered", {"sku": "A1"}, {"source": "shop", "event": "x", "created_at": "2024-01-05"})
    (message,) = sent(client, sink)
    assert message["body"] == {
        "ip": None,
        "url": None,
        "referer": None,
        "event_id": message["message_id"],
        "source": "shop",
        "created_at": "2024-01-05",
        "properties": {"sku": "A1"},
        "event": "Ordered",
    }


def test_a_caller_s_event_id_wins(client, sink):
    """An event id in the context is kept, and the context is not changed."""
    context = {"event_id": "e-1"}
    client.as_user(ANN).track("Ordered", context=context)
    assert sent(client, sink)[0]["body"]["event_id"] == "e-1"
    assert context == {"event_id": "e-1"}


@pytest.mark.shows("Client.alias", "Client.unalias")
def test_alias_and_unalias_carry_the_anonymous_id(client, sink):
    """Both work for users and accounts; numbers become text."""
    client.as_user(ANN).alias({"anonymous_id": 42}).result()
    client.as_account({"domain": "acme.test"}).unalias({"anonymous_id": " x ", "more": 1}).result()
    assert [(m["type"], m["body"]) for m in sink.accepted] == [
        ("alias", {"anonymous_id": "42"}),
        ("unalias", {"anonymous_id": "x"}),
    ]


def test_the_body_is_what_it_was_at_the_call(client, sink):
    """A caller's dict is not changed, and changing it later changes nothing."""
    attributes = {"tags": ["a"]}
    client.as_user(ANN).traits(attributes)
    attributes["tags"].append("b")
    attributes["more"] = 1
    assert sent(client, sink)[0]["body"] == {"tags": ["a"]}


@pytest.mark.shows("Client option: requestId")
def test_a_request_id_goes_along(make_client, sink):
    """Messages of a client with a request id carry it."""
    client = make_client(request_id='r-"1"')
    client.as_user(ANN).traits({"a": 1})
    assert sent(client, sink)[0]["requestId"] == 'r-"1"'


@pytest.mark.parametrize(
    "account", [lambda c: c.as_account({"domain": "acme.test"}), lambda c: c.as_user(ANN).account()]
)
def test_accounts_have_no_events(client, account):
    """Tracking an account raises an error that names the way out."""
    with pytest.raises(InvalidArgumentError, match=r"accounts have no events; .*as_user\(...\).track"):
        account(client).track("Ordered", {"sku": "A1"})


@pytest.mark.shows("Client option: additionalClaims", "Client.token")
def test_a_token_may_say_more_than_its_client(client, runtime):
    """Additional claims can be given for one token; the others stay, and so does the client."""
    user = client.as_user(ANN, active=True)
    claims = tokens.verify(user.token(create=False, scopes=["admin"]), SECRET, runtime.clock.time())
    assert (claims["io.hull.create"], claims["io.hull.active"], claims["scopes"]) == (False, True, ["admin"])
    assert "scopes" not in tokens.verify(user.token(), SECRET, runtime.clock.time())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: c.as_user(None), "None is no user claim"),
        (lambda c: c.as_user({}), "no user identifier"),
        (lambda c: c.as_user({"domain": "acme.test"}), "no user identifier"),
        (lambda c: c.as_user({"email": ["a"]}), "claim email is"),
        (lambda c: c.as_account({"email": "a@b.test"}), "no account identifier"),
        (lambda c: c.as_user(ANN).account({}), "no account identifier"),
        (lambda c: c.as_user(ANN, create=None), "create is None; pass True or False"),
        (lambda c: c.as_user(ANN, active="yes"), "active is 'yes'"),
        (lambda c: c.as_user(ANN, scopes="admin"), "scopes is 'admin'; pass a list"),
        (lambda c: c.as_user(ANN).token(scopes="admin"), "scopes is 'admin'; pass a list"),
        (lambda c: c.as_user(ANN).token(create=1), "create is 1; pass True or False"),
        (lambda c: c.as_user(ANN).traits(None), "traits takes a dict of attributes, not None"),
        (lambda c: c.as_user(ANN).traits([("a", 1)]), "traits takes a dict"),
        (lambda c: c.as_user(ANN).traits({1: 2}), "attribute name 1"),
        (lambda c: c.as_user(ANN).traits({"": 2}), "attribute name ''"),
        (
            lambda c: c.as_user(ANN).traits({"n": {"operation": "add"}}),
            "attribute 'n': unknown attribute operation 'add'",
        ),
        (lambda c: c.as_user(ANN).traits({"n": {"operation": "inc", "value": "x"}}), "inc needs a number"),
        (lambda c: c.as_user(ANN).traits({"a": float("nan")}), "is nan"),
        (lambda c: c.as_user(ANN).traits({"a": "x" * 500_000}), "send at most 500000 in one call"),
        (lambda c: c.as_user(ANN).track(""), "event is ''; pass the event's name"),
        (lambda c: c.as_user(ANN).track(None), "event is None"),
        (lambda c: c.as_user(ANN).track("x", ["a"]), r"properties is \['a'\]; pass a dict"),
        (lambda c: c.as_user(ANN).track("x", {}, "c"), "context is 'c'; pass a dict"),
        (lambda c: c.as_user(ANN).alias({}), "alias was called with {}"),
        (lambda c: c.as_user(ANN).alias("x"), "alias was called with 'x'"),
        (lambda c: c.as_user(ANN).unalias({"anonymous_id": " "}), "unalias was called with"),
    ],
)
def test_a_wrong_call_is_refused_at_once(client, sink, call, text):
    """The error names the value; nothing is queued."""
    with pytest.raises(InvalidArgumentError, match=text):
        call(client)
    assert sent(client, sink) == []


@pytest.mark.shows("Client.configuration")
def test_configuration_is_complete_and_a_copy(client):
    """It holds what the client was made with; scoped clients add their claims and token."""
    found = client.as_user(ANN).account({"domain": "acme.test"}).configuration()
    token = found.pop("access_token")
    assert claims_of({"headers": {"Hull-Access-Token": token}})["io.hull.asAccount"] == {"domain": "acme.test"}
    assert found.pop("version")
    assert found == {
        "id": ID,
        "secret": SECRET,
        "organization": HOST,
        "protocol": "https",
        "prefix": "/api/v1",
        "namespace": "acme",
        "domain": "hullapp.test",
        "firehose_url": "https://firehose.hullapp.test/",
        "api_url": f"https://{HOST}/api/v1",
        "flush_at": 50,
        "flush_after_ms": 1000,
        "subject_type": "account",
        "user_claim": ANN,
        "account_claim": {"domain": "acme.test"},
    }
    found["user_claim"]["email"] = "other"
    assert client.configuration().keys() >= {"id", "secret", "organization"}
    assert "access_token" not in client.configuration()
    assert client.as_user(ANN, create=False).configuration()["additional_claims"] == {"create": False}


def test_a_printed_configuration_shows_no_secret(client):
    """Neither the secret nor the access token stands in the text of a configuration; as data both are there."""
    found = client.as_user(ANN).configuration()
    assert SECRET not in f"{found} {found!r}"
    assert found["access_token"] not in repr(found)
    assert json.loads(json.dumps(found))["secret"] == SECRET
