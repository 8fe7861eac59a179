"""Attacks on the platform's own server, each in many forms: with forged tokens, foreign ids and bodies that hurt."""

from __future__ import annotations

import gzip
import socket
import tracemalloc
from base64 import urlsafe_b64encode

import pytest

from hull_sdk.core import json
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.wire.firehose import MAX_BODY_BYTES
from hull_sdk.wire.tokens import build_claims, encode

PEOPLE = {"email": "ann@acme.test"}


@pytest.fixture
def other(platform):
    """Another organization on the same server, with a connector, a person and a segment."""
    other = platform.create_organization("other.hullapp.test", admin_secret="the other operators secret")
    platform.runtime.net.mount("other.hullapp.test", platform.wsgi_app)
    connector = other.install(None, manifest={"name": "Other"})
    token = encode(claims(connector, platform), connector.secret)
    message = {"type": "traits", "message_id": "m-1", "headers": {"Hull-Access-Token": token}, "body": {"plan": "pro"}}
    other.receive([message], connector)
    platform.run_until_idle()
    return other


def claims(connector, platform, **changes):
    """Return the claims of a token that says whom a message is about."""
    issued_at = platform.runtime.clock.time()
    return {**build_claims(issuer=connector.id, issued_at=issued_at, subject_type="user", user=PEOPLE), **changes}


def part(value) -> str:
    """Return a part of a token."""
    return urlsafe_b64encode(json.dumps(value)).rstrip(b"=").decode()


@pytest.mark.attack("algorithm confusion and none")
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "RS256", "", None, 256, ["HS256"]])
def test_tokens_of_another_algorithm_open_nothing(platform, connector, call, algorithm, trials):
    """Whatever a token's header says, and whether its signature is left, emptied or cut off, the answer is 401."""
    good = encode(claims(connector, platform), connector.secret)
    forged = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{good.split('.')[1]}"
    for token in (f"{forged}.{good.split('.')[2]}", f"{forged}.", forged):
        status, _ = call("GET", "/api/v1/me", Hull_App_Id=connector.id, Hull_Access_Token=token)
        trials.count(let_in=status not in {400, 401})
    assert call("GET", "/api/v1/me", Hull_App_Id=connector.id, Hull_Access_Token=good)[0] in {200, 404}


@pytest.mark.attack("tampered or truncated token of a user")
def test_no_character_of_a_token_can_be_changed(platform, connector, call, trials):
    """A token with one character changed, or cut off anywhere, is refused by the API and as the token of a message."""
    token = encode(claims(connector, platform), connector.secret)
    # The last character of each part may carry bits that do not count.
    changed = [
        f"{token[:at]}{'A' if token[at] != 'A' else 'B'}{token[at + 1 :]}"
        for at in range(0, len(token) - 1, 2)
        if token[at] != "." and token[at + 1] != "."
    ]
    for forged in [*changed, *(token[:at] for at in range(2, len(token) - 1, 3))]:
        status, _ = call("GET", "/api/v1/me", Hull_App_Id=connector.id, Hull_Access_Token=forged)
        trials.count(let_in=status not in {400, 401})
    batch = [{"type": "traits", "headers": {"Hull-Access-Token": forged}, "body": {"plan": "x"}} for forged in changed]
    secret = {"Hull_App_Id": connector.id, "Hull_Access_Token": connector.secret}
    _, answer = call("POST", "/api/v1/firehose", {"batch": batch}, **secret)
    trials.count(len(batch), let_in=answer["accepted"])


@pytest.mark.attack("expired and future tokens")
@pytest.mark.parametrize(
    ("name", "skew_s", "said"), [("iat", 3600, "in the future"), ("nbf", 3600, "in the future"), ("exp", -3600, "ago")]
)
def test_a_token_out_of_its_time_is_told_the_skew(platform, connector, call, name, skew_s, said):
    """The answer names the difference of the clocks in seconds, the leeway, and the way out."""
    times = {name: int(platform.runtime.clock.time()) + skew_s}
    token = encode(claims(connector, platform, **times), connector.secret)
    status, answer = call("GET", "/api/v1/me", Hull_App_Id=connector.id, Hull_Access_Token=token)
    assert status == 401
    assert f"3600 s {said}, leeway 60 s; check the clocks" in answer["message"]


@pytest.mark.attack("another organization's connector id and secret")
def test_nothing_of_another_organization_can_be_reached(organization, connector, other, call, admin, trials):
    """Its ids, hosts and secrets, in every mixture with one's own, read and change nothing of it."""
    theirs = next(iter(other.connectors.values()))
    own = {"Hull_App_Id": connector.id, "Hull_Access_Token": connector.secret}
    known = [theirs.id, *(user["id"] for user in other.state()["users"])]
    known.append(other.create_segment("user", "Secret club", query={})["id"])
    before = repr(other.state())
    callers = [
        own,
        {**own, "Hull_Organization": other.host},
        {**own, "Hull_App_Id": theirs.id},
        {"Hull_App_Id": connector.id, "Hull_Access_Token": theirs.secret},
        {**admin, "Hull_Organization": other.host},
        {**admin, "Hull_App_Id": theirs.id},
        admin,
    ]
    paths = [f"/api/v1/{each}{rest}" for each in known for rest in ("", "/status", "/user_report", "/dead_letters")]
    for headers in callers:
        for path in paths:
            for method, body in (("GET", None), ("PUT", {"name": "mine"}), ("DELETE", None)):
                status, answer = call(method, path, body, **headers)
                told = json.dumps(answer).decode()
                trials.count(let_in=status < 400 or theirs.secret in told or "Secret club" in told)
    assert repr(other.state()) == before


@pytest.mark.attack("bodies of 20 MB and more")
@pytest.mark.parametrize(
    "path", ["/api/v1/firehose", "/api/v1/connectors", "/api/v1/settings", "/api/v1/users_segments"]
)
def test_a_large_body_is_refused(call, credentials, admin, path):
    """More than the limit is refused with 413 and the limit."""
    raw = b'{"batch":[' + b" " * 20_000_000 + b"]}"
    method = "PUT" if path.endswith("settings") else "POST"
    status, answer = call(method, path, raw=raw, **(credentials if path.endswith("firehose") else admin))
    assert (status, str(MAX_BODY_BYTES) in answer["message"]) == (413, True)


@pytest.mark.attack("decompression bomb")
@pytest.mark.parametrize("times", [1, 2])
def test_a_body_that_unpacks_to_too_much_is_refused(call, credentials, times):
    """A hundred megabytes in a small body, also packed twice, cost no more memory than the limit."""
    bomb = b'{"batch":[' + bytes(100_000_000) + b"]}"
    for _ in range(times):
        bomb = gzip.compress(bomb, 1)
    tracemalloc.start()
    try:
        status, _ = call("POST", "/api/v1/firehose", raw=bomb, Content_Encoding="gzip", **credentials)
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_BODY_BYTES
    finally:
        tracemalloc.stop()
    assert status in {400, 413}


@pytest.mark.attack("deep JSON")
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"batch":[', b'{"query":{"bool":{"must":['])
def test_bottomless_json_is_refused(call, credentials, admin, opening, trials):
    """A body of a hundred thousand levels is refused as such by every operation that reads one."""
    for method, path in (
        ("POST", "/api/v1/firehose"),
        ("POST", "/api/v1/connectors"),
        ("POST", "/api/v1/users_segments"),
        ("PUT", "/api/v1/settings"),
        ("POST", "/api/v1/search/user_reports"),
        ("POST", "/api/v1/import/users"),
    ):
        for headers in (credentials, admin):
            status, _ = call(method, path, raw=opening * 100_000, **headers)
            trials.count(let_in=not 400 <= status < 500)


@pytest.mark.attack("header and log injection")
def test_paths_and_headers_write_no_lines(call, credentials, caplog):
    """What a request is called stands in one event, in its fields."""
    caplog.set_level("DEBUG")
    call("GET", "/api/v1/x%0d%0aERROR%20hull%20forged", Hull_User_Id="a%0d%0ab", **credentials)
    assert not any(line.startswith("ERROR hull forged") for line in caplog.text.splitlines())


@pytest.mark.attack("slow bodies and files")
def test_slow_senders_do_not_keep_the_platform_waiting(served_platform, trials):
    """While sixty clients send their requests byte by byte, others are answered."""
    served_platform.create_organization("acme.hullapp.test")
    host, port = served_platform.address.split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(60)]
    network = HttpNetwork()
    try:
        for index, each in enumerate(slow):
            head = b"POST /api/v1/firehose HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
            each.sendall(head + (b"\r\n{" if index % 2 else b"X"))
        url = f"http://{served_platform.address}/api/v1/app"
        answer = network.send(Request(method="GET", url=url, timeout_s=20))
        trials.count(len(slow), let_in=answer.status >= 500)
    finally:
        for each in slow:
            each.close()
        network.close()
