"""How the platform's keys are fetched and kept."""

from __future__ import annotations

import pytest
from connector_world import KEY_URL
from flask import redirect, request

from hull_sdk.core.net import HostPatterns
from hull_sdk.errors import NotificationError
from hull_sdk.middleware import KeyRing
from hull_sdk.middleware.keys import (
    KEY_TTL_S,
    MAX_KEY_BYTES,
    MAX_KEYS,
    STALE_PAUSE_S,
    STALE_TTL_S,
    STRANGER_TTL_S,
    checked_key_url,
)
from hull_sdk.wire.signatures import public_pem

TRUST = HostPatterns(["*.hullapp.test"])


@pytest.fixture
def keys(world):
    """An empty key ring."""
    return KeyRing(world.runtime)


def use(keys, url=KEY_URL, *, signature="s", trust=TRUST, check=lambda key: key, before_asking=lambda: None):
    """Return the key at an address after a check, which passes unless the test says otherwise."""
    return keys.check_with_key(checked_key_url(url, trust), signature, check, before_asking=before_asking)


def refuse(_key):
    """Find that nothing verifies."""
    raise NotificationError("INVALID_SIGNATURE", "it does not verify", status=401)


def fails():
    """Answer that the key is not to be had."""
    return "down", 503


def test_the_signature_is_sent_along(world, keys):
    """The key is asked for by POST, with the signature as the body."""
    bodies = []
    world.platform.key_answer = lambda: (bodies.append(request.get_data()), public_pem(world.platform.key))[1]
    use(keys, signature="the.signature")
    assert bodies == [b"the.signature"]


@pytest.mark.parametrize("status", [404, 405])
def test_get_is_tried_where_post_is_unknown(world, keys, status):
    """A server that knows no POST is asked by GET."""
    world.platform.key_answer = lambda: (
        ("", status) if request.method == "POST" else (public_pem(world.platform.key), 200)
    )
    use(keys)
    assert [line.split()[0] for line in world.platform.requests] == ["POST", "GET"]


@pytest.mark.attack("keys and secrets that were exchanged")
def test_a_key_is_fetched_again_after_an_hour(world, keys):
    """A key is believed for an hour, then fetched again."""
    use(keys)
    world.runtime.tasks.sleep(KEY_TTL_S - 1)
    use(keys)
    assert len(world.platform.requests) == 1
    world.runtime.tasks.sleep(2)
    use(keys)
    assert len(world.platform.requests) == 2


def test_an_old_key_bridges_a_failure(world, keys):
    """When the address fails, the old key is used on, and the address is left alone for a minute."""
    first = use(keys)
    world.platform.key_answer = fails
    world.runtime.tasks.sleep(KEY_TTL_S + 1)
    assert use(keys) is first
    assert use(keys) is first
    assert len(world.platform.requests) == 2
    world.runtime.tasks.sleep(STALE_PAUSE_S + 1)
    use(keys)
    assert len(world.platform.requests) == 3
    world.runtime.tasks.sleep(STALE_TTL_S)
    with pytest.raises(NotificationError, match="answered 503"):
        use(keys)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (fails, "answered 503"),
        (lambda: redirect("https://evil.example/key"), "answered 302"),
        (lambda: "no key at all", "PEM"),
        (lambda: ("x" * (MAX_KEY_BYTES + 1), 200), "signing key"),
    ],
    ids=["error", "redirect", "text", "large"],
)
def test_what_is_no_key_is_refused(world, keys, answer, reason):
    """Errors, redirects and other texts give INVALID_SIGNATURE, and no redirect is followed."""
    world.platform.key_answer = answer
    with pytest.raises(NotificationError, match=reason) as caught:
        use(keys)
    assert (caught.value.code, caught.value.status) == ("INVALID_SIGNATURE", 401)
    assert set(world.asked()) == {"acme.hullapp.test"}


def test_an_unreachable_address_is_refused(world, keys):
    """An allowed host that nobody answers at gives INVALID_SIGNATURE."""
    with pytest.raises(NotificationError, match="could not be fetched"):
        use(keys, "https://other.hullapp.test/key")


def test_loopback_may_do_without_https(world, keys):
    """On this machine a key may be fetched over http."""
    world.net.mount("localhost:3000", world.platform.app)
    use(keys, "http://localhost:3000/api/v1/notification_keys/k1", trust=HostPatterns(["localhost"]))


def test_addresses_made_up_by_strangers_push_no_key_out(world, keys):
    """However many addresses give a key with which nothing verifies, the key that verifies is never fetched again."""
    use(keys)
    for number in range(MAX_KEYS + 1):
        with pytest.raises(NotificationError, match="does not verify"):
            use(keys, f"{KEY_URL}?n={number}", check=refuse)
    asked = len(world.asked())
    use(keys)
    assert len(world.asked()) == asked


def test_strangers_cannot_end_the_bridge_over_a_failure(world, keys):
    """After any number of made-up addresses an old key still bridges a failure."""
    use(keys)
    for number in range(MAX_KEYS + 1):
        with pytest.raises(NotificationError):
            use(keys, f"{KEY_URL}?n={number}", check=refuse)
    world.platform.key_answer = fails
    world.runtime.tasks.sleep(KEY_TTL_S + 1)
    assert use(keys) is not None


def test_one_address_is_fetched_once_while_nothing_verifies(world, keys):
    """Forged signatures that name one address cost one fetch a minute, not one each."""
    for _ in range(5):
        with pytest.raises(NotificationError):
            use(keys, check=refuse)
    assert len(world.asked()) == 1
    world.runtime.tasks.sleep(STRANGER_TTL_S + 1)
    use(keys)
    assert len(world.asked()) == 2
