"""Attacks on a connector that are tried many times over, each in every form that comes to mind."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import socket
from base64 import urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from connector_world import CONNECTOR_ID, CREDENTIALS, HOST, query, user_message
from flask import Flask

from hull_sdk.core.ids import SystemIds
from hull_sdk.core.logs import JsonFormatter
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import LogicError
from hull_sdk.handlers import action_handler, notif_handler, oauth_handler, smart_notifier_handler, status_handler
from hull_sdk.platform.server import serve_app

SCRIPT = "<script>alert('x')</script>\"'"
EVIL = "https://evil.example/"
PACKAGE = Path(__file__).parents[2] / "hull_sdk"


@pytest.fixture
def handled():
    """What the function of the connector was given, a text for each message."""
    return []


@pytest.fixture
def app(world, handled):
    """A connector with a handler of each kind."""

    def note(_ctx, messages):
        handled.extend(message["message_id"] for message in messages)

    def act(_ctx, _parts):
        handled.append("action")

    return world.app(
        smart_notifier_handler({"user:update": note}), action_handler(act, webhook=True), notif_handler({})
    )


def oauth(**options):
    """Return an OAuth handler of a service that is never asked."""
    defaults = {
        "name": "CRM",
        "authorize_url": "https://crm.example/authorize",
        "token_url": "https://crm.example/token",
        "client_id": "client-1",
        "client_secret": "client-s3cret",
        "is_setup": lambda _ctx: False,
        "on_authorize": lambda _ctx, _tokens: None,
    }
    return oauth_handler(**{**defaults, **options})


@pytest.mark.attack("replay")
def test_a_notification_that_is_sent_a_hundred_times_is_handled_once(world, app, handled, trials):
    """Each repetition is answered from the store; the function runs once."""
    notification = world.notification()
    answers = [world.notify(app, notification) for _ in range(100)]
    trials.count(len(answers), doubled=len(handled) - 1)
    assert {(answer.status_code, answer.get_json()["flow_control"]["type"]) for answer in answers} == {(200, "next")}


@pytest.mark.attack("changed body under a valid signature")
def test_no_byte_of_a_signed_body_can_be_changed(world, app, handled, trials):
    """A body that differs in one byte, wherever, is refused with 401."""
    notification = world.notification()
    body = json.dumps(notification).encode()
    headers = world.headers(body, notification["notification_id"])
    client = app.test_client()
    for at in range(0, len(body), 3):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        let_in = client.post("/b0", data=changed, headers=headers).status_code < 400
        trials.count(let_in=let_in)
    assert handled == []


@pytest.mark.attack("algorithm confusion and none")
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "RS384", "", None, 1, ["RS256"]])
def test_a_notification_under_another_algorithm_is_refused(world, app, handled, algorithm):
    """Whatever algorithm the signature names, with its signature left, emptied or cut off, nothing is handled."""
    notification = world.notification()
    body = json.dumps(notification).encode()
    headers = world.headers(body, notification["notification_id"])
    name = "X-Hull-Smart-Notifier-Signature"
    _, claims, signature = headers[name].split(".")
    head = urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).rstrip(b"=").decode()
    for forged in (f"{head}.{claims}.{signature}", f"{head}.{claims}.", f"{head}.{claims}"):
        assert app.test_client().post("/b0", data=body, headers={**headers, name: forged}).status_code in {400, 401}
    assert handled == []


@pytest.mark.attack("tampered or truncated context token")
def test_no_character_of_a_context_token_can_be_changed(world, app, handled, trials):
    """A token with one character changed, or cut off anywhere, is refused with 401, and nobody is asked about it."""
    token = app.extensions["hull"].tokens.encrypt(CREDENTIALS, "webhook")
    client = app.test_client()
    changed = [f"{token[:at]}{'A' if token[at] != 'A' else 'B'}{token[at + 1 :]}" for at in range(len(token) - 3)]
    for forged in [*changed, *(token[:at] for at in range(1, len(token) - 2))]:
        let_in = client.post(f"/b1?token={quote(forged)}").status_code not in {401, 403}
        trials.count(let_in=let_in)
    assert (handled, world.asked()) == ([], [])
    assert client.post(f"/b1?token={quote(token)}").status_code == 200


@pytest.mark.attack("open redirect")
@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "Referer", "Origin", "X-Original-URL", "Forwarded"])
def test_nobody_is_sent_elsewhere(world, trials, header):
    """Neither parameters nor headers change where a browser is sent: to the service, or to the handler's own pages."""
    world.platform.connector["source_url"] = "https://shop.example/"
    client = world.app(oauth()).test_client()
    names = ("next", "redirect_uri", "redirect_url", "return_to", "url", "callback", "continue", "state", "code")
    more = "&".join(f"{name}={quote(EVIL)}" for name in names)
    for path in ("/b0/login", "/b0/callback", "/b0", "/b0/failure", "/b0/success", "//evil.example/b0", "/readme"):
        value = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        answer = client.get(f"{path}?{query()}&{more}", headers={header: value.get(header, EVIL)})
        location = answer.headers.get("Location", "")
        elsewhere = urlsplit(location).netloc not in {"", "crm.example", "dashboard.hullapp.io"}
        trials.count(let_in=elsewhere or ("evil" in location and path != "/readme"))


@pytest.mark.attack("XSS")
def test_no_page_runs_what_others_wrote(world, trials, tmp_path):
    """Names, settings, reasons and errors are escaped in each page, and every other answer is no page."""
    world.platform.connector |= {"name": SCRIPT, "private_settings": {"account": SCRIPT}}
    (tmp_path / "mine.html").write_text("<p>{{ name }} {{ setup }} {{ urls.login }} {{ reason }}</p>", encoding="utf-8")
    shows = lambda ctx: {"account": ctx.ship["private_settings"]["account"], SCRIPT: SCRIPT}  # noqa: E731
    mine = dict.fromkeys(("home", "login", "success", "failure"), "mine.html")

    def fail(*_args):
        raise LogicError(SCRIPT)

    app = Flask("shop", template_folder=str(tmp_path))
    blueprints = [
        oauth(name=SCRIPT),
        oauth(name=SCRIPT, is_setup=shows),
        oauth(name=SCRIPT, views=mine, is_setup=shows),
    ]
    blueprints += [oauth(name=SCRIPT, is_setup=fail), action_handler(fail), status_handler(fail)]
    for index, blueprint in enumerate([*blueprints, smart_notifier_handler({"user:update": fail})]):
        app.register_blueprint(blueprint, url_prefix=f"/b{index}")
    client = world.setup(app).test_client()
    paths = [f"/b{index}{page}" for index in range(7) for page in ("", "/success", "/failure", f"/{quote(SCRIPT)}")]
    for path in [*paths, f"/{quote(SCRIPT)}", f"/assets/{quote(SCRIPT)}"]:
        for parameters in (query(), query(organization=SCRIPT), query(ship=SCRIPT), f"token={quote(SCRIPT)}", ""):
            for method in ("GET", "POST"):
                address = f"{path}?{parameters}&reason={quote(SCRIPT)}&error={quote(SCRIPT)}"
                answer = client.open(address, method=method, json={"a": SCRIPT} if method == "POST" else None)
                trials.count(let_in=answer.mimetype == "text/html" and "<script" in answer.text.lower())


@pytest.mark.attack("deep JSON")
@pytest.mark.parametrize("path", ["/b0", "/b1", "/b2"])
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"messages":['])
def test_bottomless_json_breaks_nothing(world, app, handled, path, opening):
    """A body of a hundred thousand levels is refused, or counts as none; it is no error of the connector's."""
    body = (opening * 100_000).encode()
    client = app.test_client()
    for headers in ({"Content-Type": "application/json"}, world.headers(body, "n-deep")):
        assert client.post(f"{path}?{query()}", data=body, headers=headers).status_code < 500
    assert [each for each in handled if each != "action"] == []


@pytest.mark.attack("deep JSON")
def test_a_signed_notification_may_be_deep(world, app, handled):
    """What the platform signed is read to a bounded depth, and refused with a reason beyond it."""
    deep = user_message("u1")
    value = {}
    deep["user"]["traits_deep"] = value
    for _ in range(300):
        value["a"] = value = {}
    assert world.notify(app, world.notification([deep])).status_code in {200, 400}


@pytest.mark.attack("header and log injection")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\x85", "\x0b", "%0d%0a"])
def test_nobody_writes_lines_of_ours(app, end):
    """What strangers send stays within the line of the event that tells of it, and within one header."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    forged = f"x{end}" + '{"level": "error", "message": "forged", "logger": "hull"}'
    try:
        client = app.test_client()
        for parameters in (query(organization=forged), query(ship=forged), f"token={quote(forged)}"):
            answer = client.post(f"/b1?{parameters}&{quote(forged)}=1", headers={"X-Request-Id": quote(forged)})
            assert not any("\n" in value or "\r" in value for _, value in answer.headers)
    finally:
        logging.getLogger().removeHandler(handler)
    told = [json.loads(line) for line in lines.getvalue().split("\n") if line]
    assert told
    assert [line for line in told if line["message"] == "forged"] == []


@pytest.mark.attack("slow bodies and files")
def test_slow_senders_do_not_keep_others_waiting(app, trials):
    """While sixty clients send their requests byte by byte, others are answered."""
    runtime, network = Runtime.system(), HttpNetwork()
    server = serve_app(app, runtime.tasks)
    host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
    slow = [socket.create_connection((host, port)) for _ in range(60)]
    try:
        for index, each in enumerate(slow):
            each.sendall(
                b"POST /b1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000\r\n" + (b"\r\n{" if index % 2 else b"X")
            )
        answer = network.send(Request(method="GET", url=f"{server.url}/manifest.json", timeout_s=20))
        trials.count(len(slow), let_in=answer.status != 200)
    finally:
        for each in slow:
            each.close()
        network.close()
        server.close()


#: Comparisons of what no stranger sends.
OURS = {"tokens['access_token'] == rejected", "SIGNATURE_VERSION", "header.get('sha256') !="}
COMPARED = re.compile(r"secret|signature|digest|password|\bmac\b|access_token")


@pytest.mark.attack("timing of secret comparison")
def test_secrets_are_compared_in_constant_time(trials):
    """No comparison of the package that involves a secret, a signature or a digest ends at the first difference."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                continue
            trials.count()
            sides = any(_may_be_secret(each) for each in (node.left, *node.comparators))
            if sides and not any(known in ast.unparse(node) for known in OURS):
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


def _may_be_secret(node: ast.expr) -> bool:
    """Tell whether one side of a comparison is named as a secret; constants, lengths and types are none."""
    if isinstance(node, ast.Constant | ast.Compare):
        return False
    if isinstance(node, ast.Call):
        node = node.func  # ``mac(...).hex()`` gives a digest, ``len(secret)`` none
    return COMPARED.search(ast.unparse(node).lower()) is not None


def test_made_up_secrets_cannot_be_guessed():
    """Connector and admin secrets have 128 bits, and none comes twice."""
    made = {SystemIds().secret() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(each) for each in made} == {32}


@pytest.mark.attack("SSRF through an organization")
@pytest.mark.parametrize("organization", ["169.254.169.254", "localhost", "127.0.0.1:6379", "[::1]", "10.0.0.1", "acme.hullapp.test.evil.example", f"{HOST}@evil.example", f"evil.example#{HOST}", f"evil.example\\.{HOST}", "metadata.google.internal"])  # fmt: skip
def test_no_organization_of_a_stranger_is_asked(world, app, handled, organization, trials):
    """In the query, an encrypted token, or the body of a notification, it is refused before any outgoing request."""
    named = {**CREDENTIALS, "organization": organization}
    client = app.test_client()
    tokens = app.extensions["hull"].tokens
    notification = world.notification(configuration=named)
    answers = [
        client.post(f"/b1?{query(organization=organization)}"),
        client.post(f"/b1?id={CONNECTOR_ID}&organization={quote(organization)}&secret=guessed-secret"),
        client.post(f"/b1?token={quote(tokens.encrypt(named, 'webhook'))}"),
        world.notify(app, notification, key_url=f"https://{organization}/key"),
        world.notify(app, notification),
    ]
    trials.count(len(answers), let_in=sum(answer.status_code < 400 for answer in answers) + len(world.asked()))
    assert handled == []
