"""Who is at the browser, as views ask for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging

import pytest
from client_sinks import ID, SECRET

from hull_sdk.client import current_user_id
from hull_sdk.core.logs import fields_of
from hull_sdk.errors import InvalidArgumentError

USER = "5a7962e2793d3e942a03b29c"


def cookies(runtime, *, connector=ID, secret=SECRET, age=0):
    """Return the cookies of a browser that was signed in some seconds ago."""
    time = int(runtime.clock.time()) - age
    signature = hmac.new(secret.encode(), f"{time}-{USER}".encode(), hashlib.sha1).hexdigest()
    value = json.dumps({"Hull-User-Id": USER, "Hull-User-Sig": f"{time}.{signature}"})
    return {"other": "x", f"hull_{connector}": base64.b64encode(value.encode()).decode()}


def test_a_signed_cookie_names_the_user(client, runtime):
    """The id is what as_user takes, for the client and its scoped copies alike."""
    assert current_user_id(client, cookies(runtime)) == USER
    assert current_user_id(client.as_user(USER), cookies(runtime, age=86_400)) == USER


def test_nobody_is_there_without_a_cookie_of_this_connector(client, runtime, caplog):
    """No cookie, an empty one, and another connector's are no user, and nothing to log."""
    caplog.set_level(logging.DEBUG)
    for found in ({}, {f"hull_{ID}": ""}, {f"hull_{ID}": None}, cookies(runtime, connector=USER)):
        assert current_user_id(client, found) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    ("options", "reason"), [({"secret": "another"}, "does not match"), ({"age": 61}, "signed 61 s ago")]
)
def test_a_cookie_that_does_not_hold_is_nobody(client, runtime, caplog, options, reason):
    """A forged or an old cookie names nobody; the log says why, without the secret."""
    caplog.set_level(logging.INFO)
    assert current_user_id(client, cookies(runtime, **options), max_age_s=60) is None
    (record,) = caplog.records
    assert record.getMessage() == "current_user.refused"
    assert reason in fields_of(record)["reason"]
    assert SECRET not in str(fields_of(record))


@pytest.mark.parametrize("age", [0, -1, True, float("inf"), "60"])
def test_an_age_is_a_number_of_seconds(client, age):
    """Anything else is refused by name."""
    with pytest.raises(InvalidArgumentError, match="max_age_s is"):
        current_user_id(client, {}, max_age_s=age)
