"""The command hull deadletters, against a platform and against a queue."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from click.testing import CliRunner
from flask import Flask

from hull_sdk.cli import main
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.infra import RQQueue
from hull_sdk.infra.queues import GivenUpError
from hull_sdk.platform.server import serve_app
from hull_sdk.wire import tokens

MANIFEST = {"name": "Refuser", "tags": ["smart-notifier"], "subscriptions": [{"url": "/smart-notifier"}]}


class World:
    """A platform over HTTP, and a connector that refuses everybody until it is told otherwise."""

    def __init__(self, platform) -> None:
        self.platform = platform
        self.url = f"http://{platform.address}"
        self.refuses = True
        self.seen: list[str] = []
        self.organization = platform.create_organization("acme.hullapp.test")
        self.connector = self.organization.install(self, manifest=MANIFEST)
        self.environ = {"HULL_ID": self.connector.id, "HULL_SECRET": self.connector.secret}

    def __call__(self, environ, start_response):
        """Answer a notification."""
        messages = json.loads(environ["wsgi.input"].read())["messages"]
        self.seen += [message["user"]["email"] for message in messages]
        status = "error" if self.refuses else "ok"
        results = [{"message_id": m["message_id"], "status": status, "reason": "api_key=hunter2"} for m in messages]
        answer = {"flow_control": {"type": "next", "size": 10, "in": 1}, "responses": results}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def letters(self) -> list:
        """Return the dead letters as the platform has them."""
        return self.organization.dead_letters(self.connector.id)

    def write(self, *names: str) -> None:
        """Have something said about users, which the connector is told."""
        for name in names:
            claims = tokens.build_claims(
                issuer=self.connector.id,
                issued_at=self.platform.runtime.clock.time(),
                subject_type="user",
                user={"email": f"{name}@acme.test"},
            )
            body = {"type": "traits", "body": {"plan": "pro"}, "message_id": name}
            self.organization.ingest(body, claims, self.connector.id)
        self.platform.run_until_idle()


@pytest.fixture
def world(served_platform):
    """A platform on a port, with two dead letters."""
    world = World(served_platform)
    world.write("ann", "bob")
    return world


def run(*arguments, **environ):
    """Run the command and return exit code and output."""
    clean = {"HULL_ID": None, "HULL_SECRET": None, "HULL_ADMIN_SECRET": None, "HULL_ORGANIZATION": None}
    result = CliRunner().invoke(main, ["deadletters", *arguments], env={**clean, "HULL_REDIS_URL": None, **environ})
    return result.exit_code, result.output


def test_messages_are_listed_shown_and_redriven(world):
    """What a connector refused stands in the list; shown it has its message; redriven it is delivered again."""
    code, text = run("list", "--platform", world.url, **world.environ)
    first, second = world.letters()
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == [first.id, second.id]
    assert "user:update" in text
    assert "hunter2" not in text
    code, text = run("show", first.id, "--platform", world.url, "--json", **world.environ)
    assert json.loads(text)["message"]["user"]["email"] == "ann@acme.test"
    world.refuses = False
    world.seen.clear()
    assert run("redrive", first.id, "--platform", world.url, **world.environ) == (0, "1 redriven\n")
    world.platform.run_until_idle()
    assert (world.seen, len(world.letters())) == (["ann@acme.test"], 1)
    code, text = run("redrive", "--all", "--platform", world.url, "--json", **world.environ)
    assert (code, json.loads(text)) == (0, {"redriven": 1})
    world.platform.run_until_idle()
    assert run("list", "--platform", world.url, **world.environ) == (0, "none\n")


def test_the_operator_names_organization_and_connector(world, tmp_path):
    """With the admin secret, from the environment or a file, the operator sees the same."""
    organization = world.organization
    where = ("--platform", world.url, "--connector", world.connector.id, "--organization", organization.host)
    code, text = run("list", *where, HULL_ADMIN_SECRET=organization.admin_secret)
    assert (code, len(text.splitlines())) == (0, 2)
    file = tmp_path / "secret"
    file.write_text(f"{organization.admin_secret}\n")
    assert run("list", *where, "--admin", "--secret-file", str(file)) == (0, text)
    code, text = run("list", *where, "--json", "--limit", "1", "--admin", HULL_ADMIN_SECRET=organization.admin_secret)
    assert (len(json.loads(text)["dead_letters"]), json.loads(text)["total"]) == (1, 2)


def test_a_list_that_is_cut_says_so(world):
    """A limit leaves some out, which the last line tells."""
    code, text = run("list", "--limit", "1", "--platform", world.url, **world.environ)
    assert (code, text.splitlines()[-1]) == (0, "... 2 in all; --limit 2 shows them")


def test_wrong_credentials_and_ids_are_one_clear_line(world):
    """What the platform refuses, nobody who answers, and an id that is none."""
    wrong = {**world.environ, "HULL_SECRET": "wrong"}
    code, text = run("list", "--platform", world.url, **wrong)
    assert (code, text.startswith("Error: the platform answered 401: ")) == (1, True)
    for command in ("show", "redrive"):
        code, text = run(command, "none", "--platform", world.url, **world.environ)
        assert (code, "'none' is no dead letter" in text) == (1, True)
    assert len(world.letters()) == 2
    code, text = run("list", "--platform", "http://127.0.0.1:1", **world.environ)
    assert (code, text.startswith("Error: no platform answers at http://127.0.0.1:1")) == (1, True)


def test_a_refusal_without_words_says_so():
    """What answers in the place of a platform may give no reason; the status is told all the same."""
    with closing(serve_app(Flask("bare"), ThreadTasks())) as server:
        code, text = run("list", "--platform", server.url, HULL_ID="x", HULL_SECRET="x")
    assert (code, text) == (1, "Error: the platform answered 404: it gave no reason\n")


def test_a_secret_file_that_is_no_text_is_told(tmp_path):
    """Bytes that no secret has are one clear error."""
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe\x00")
    code, text = run("list", "--platform", "http://a.test", "--connector", "x", "--secret-file", str(file))
    assert (code, "the file of --secret-file holds no secret" in " ".join(text.split())) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "environ", "told"),
    [
        (["list"], {}, "--platform URL for messages, or --queue REDIS_URL"),
        (["list", "--platform", "http://a.test", "--queue"], {}, "--platform URL for messages, or --queue REDIS_URL"),
        (["list", "--platform", "somewhere"], {}, "write a URL such as"),
        (["list", "--platform", "http://a.test"], {}, "--connector ID, or set HULL_ID"),
        (
            ["list", "--platform", "http://a.test"],
            {"HULL_ID": "x"},
            "HULL_SECRET (the connector's) or HULL_ADMIN_SECRET",
        ),
        (
            ["list", "--platform", "http://a.test", "--admin"],
            {"HULL_ID": "x", "HULL_SECRET": "x"},
            "set HULL_ADMIN_SECRET",
        ),
        (
            ["list", "--platform", "http://a.test"],
            {"HULL_ID": "x", "HULL_SECRET": "a\nb"},
            "one line of printable ASCII",
        ),
        (["list", "--platform", "http://a.test", "--queue-name", "x"], {}, "--queue-name goes with --queue"),
        (["list", "--queue"], {}, "HULL_REDIS_URL is not set"),
        (["list", "--queue", "redis://:hunter2@a.test/0"], {}, "every user of this host can read"),
        (["list", "--queue", "redis://a.test/0?password=hunter2"], {}, "every user of this host can read"),
        (["redrive", "--queue", "redis://a.test/0"], {}, "name the ids to redrive, or write --all"),
        (["redrive", "--all", "x", "--queue", "redis://a.test/0"], {}, "name the ids to redrive, or write --all"),
    ],
)
def test_wrong_use_is_told_with_a_way_out(arguments, environ, told):
    """Each mistake ends with exit code 2, one message that says what to write, and no secret in it."""
    code, text = run(*arguments, **environ)
    assert code == 2
    assert told in " ".join(text.split())
    assert "hunter2" not in text


def test_failed_jobs_are_listed_shown_and_redriven(valkey):
    """With --queue the same words work on failed jobs, whose address may come from the environment."""
    queue = RQQueue(valkey.url)
    ran = []

    def handle(job) -> None:
        ran.append(job.id)
        if len(ran) == 1:
            raise GivenUpError("never")

    queue.work(handle)
    job_id = queue.enqueue("import", {"page": 3}, context={})
    queue.run_worker(burst=True, fork=False)
    code, text = run("list", "--queue", HULL_REDIS_URL=valkey.url)
    assert (code, text.split()[0], "import  queueApp" in text) == (0, job_id, True)
    code, text = run("show", job_id, "--queue", valkey.url)
    assert (code, 'payload: {"page":3}\n' in text) == (0, True)
    assert run("redrive", job_id, "--queue", valkey.url, "--queue-name", "queueApp") == (0, "1 redriven\n")
    queue.run_worker(burst=True, fork=False)
    assert ran == [job_id, job_id]
    assert json.loads(run("list", "--queue", valkey.url, "--json")[1]) == {"dead_letters": [], "total": 0}
    code, text = run("show", job_id, "--queue", valkey.url)
    assert (code, "is no failed job" in text) == (1, True)
    queue.stop()
