"""The connector's options, manifest, files and warnings."""

from __future__ import annotations

import json
import logging
from inspect import signature

import pytest
from connector_world import HOST_SECRET, query
from flask import Flask

from hull_sdk import Connector, Middleware
from hull_sdk.connector.server import port_of
from hull_sdk.errors import InvalidArgumentError, MissingExtraError
from hull_sdk.handlers import action_handler, batcher_handler
from hull_sdk.infra import Cache, RedisCache
from hull_sdk.infra.queues import MemoryQueue


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"host_secret": ""}, "host_secret"),
        ({"host_secret": ["good", ""]}, "host_secret"),
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"timeout_s": "25"}, "timeout_s is '25'"),
        ({"port": 70_000}, "port is 70000"),
        ({"port": "http"}, "port is 'http'"),
        ({"client_config": {"secret": "x"}}, "client_config holds secret"),
        ({"client_config": {"flush_out": 5}}, "client_config does not fit Client: .*flush_out"),
        ({"client_config": {"flush_at": "ten"}}, "in client_config: flush_at is 'ten'"),
        ({"client_config": ["flush_at"]}, "client_config is of type list; pass a dict"),
        ({"shutdown_timeout_s": -1}, "shutdown_timeout_s is -1"),
        ({"shutdown_timeout_s": True}, "shutdown_timeout_s is True"),
        ({"connector_name": 5}, "connector_name is 5; pass text"),
        ({"segment_filter_setting": ["a"]}, "segment_filter_setting is"),
        ({"segment_filter_setting": " "}, "segment_filter_setting is ' '"),
        ({"manifest": ["a"]}, "manifest is of type list"),
        ({"cache": {}}, "cache is of type dict; pass a Cache"),
        ({"queue": "memory"}, "queue is of type str; pass a Queue"),
        ({"instrumentation": "datadog"}, "instrumentation is of type str"),
        ({"allowed_organizations": "acme.hullapp.io"}, r"\['acme.hullapp.io'\]"),
        ({"allowed_organizations": ["https://acme.hullapp.io"]}, "no host pattern"),
    ],
)
def test_wrong_options_are_refused(options, named):
    """An option that breaks a rule is an error when connector or middleware is made, and names the value."""
    shared = options.keys() <= signature(Middleware).parameters.keys()
    for kind in (Connector, Middleware) if shared else (Connector,):
        with pytest.raises(InvalidArgumentError, match=named) as caught:
            kind(**options)
        assert "good" not in str(caught.value)


def test_the_options_of_the_middleware_are_those_of_the_connector():
    """Whatever ``Middleware`` takes, ``Connector`` takes under the same name, with the same default and type."""
    ours = signature(Connector).parameters
    assert {name: ours[name] for name in signature(Middleware).parameters} == dict(signature(Middleware).parameters)


def test_the_constructor_does_no_work(monkeypatch):
    """Nothing is read before setup_app: a missing manifest and a bad environment are found there."""
    monkeypatch.setenv("HULL_ALLOWED_ORGANIZATIONS", "https://no.host")
    connector = Connector(manifest="/nowhere/manifest.json")
    with pytest.raises(InvalidArgumentError, match=r"/nowhere/manifest\.json"):
        connector.setup_app(Flask("x"))
    with pytest.raises(InvalidArgumentError, match="no host pattern"):
        Connector().setup_app(Flask("x"))


def shared(app) -> tuple[bool, bool]:
    """Tell whether the cache and what became of notifications are shared with other processes."""
    extension = app.extensions["hull"]
    return extension.cache.shared, extension.runs.shared


def test_an_address_has_everything_shared(monkeypatch):
    """redis_url, or the environment's, selects the store for the cache and for what became of notifications."""
    assert shared(Connector().setup_app(Flask("x"))) == (False, False)
    assert shared(Connector(redis_url="redis://127.0.0.1:1").setup_app(Flask("x"))) == (True, True)
    monkeypatch.setenv("HULL_REDIS_URL", "redis://127.0.0.1:1")
    assert shared(Connector().setup_app(Flask("x"))) == (True, True)


def test_a_cache_of_ones_own_goes_with_an_address():
    """A cache that was passed stays, beside an address; a shared one takes what became of notifications along."""
    app = Connector(cache=Cache(), redis_url="redis://127.0.0.1:1").setup_app(Flask("x"))
    assert shared(app) == (False, True)
    assert shared(Connector(cache=RedisCache("redis://127.0.0.1:1")).setup_app(Flask("x"))) == (True, True)


def test_an_address_without_its_library_is_refused_at_the_start(monkeypatch):
    """When redis-py is missing, setup_app names the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match="redis_url needs"):
        Connector(redis_url="redis://localhost").setup_app(Flask("x"))


def test_a_bad_address_is_refused_at_the_start():
    """An address that breaks a rule is refused by setup_app, without its password."""
    with pytest.raises(InvalidArgumentError, match="redis_url") as caught:
        Connector(redis_url="http://:hunter2@localhost").setup_app(Flask("x"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.shows("Client option: hostSecret", "Connector option: hostSecret")
def test_the_host_secret_may_come_from_the_environment(monkeypatch):
    """HULL_HOST_SECRET is read when there is no option."""
    monkeypatch.setenv("HULL_HOST_SECRET", HOST_SECRET)
    app = Connector().setup_app(Flask("x"))
    assert "no host secret" not in repr(app.extensions["hull"].tokens)


@pytest.mark.shows("Connector.setupApp", "Hull.Connector", "README: hull-connector")
def test_setup_app_returns_the_application():
    """setup_app returns the application it was given."""
    app = Flask("x")
    assert Connector(host_secret="s").setup_app(app) is app


# -- manifest and files


@pytest.fixture
def folder(tmp_path):
    """Return an application's folder with a manifest and files."""
    (tmp_path / "manifest.json").write_text('{"name": "From the file"}', encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    for name in ("assets", "dist", "assets/img"):
        (tmp_path / name).mkdir()
    (tmp_path / "assets/logo.png").write_bytes(b"logo")
    (tmp_path / "assets/img/icon.svg").write_bytes(b"icon")
    (tmp_path / "assets/.hidden").write_bytes(b"hidden")
    (tmp_path / "dist/app.js").write_bytes(b"js")
    return tmp_path


def client_in(folder, prepare=lambda _app: None, **options):
    """Return the test client of an application in a folder."""
    app = Flask("x", root_path=str(folder))
    prepare(app)
    return Connector(host_secret="s", **options).setup_app(app).test_client()


@pytest.mark.shows("utils.staticRouter")
def test_the_manifest_is_served(folder):
    """The manifest comes from the option, from its file, or from the application's folder."""
    assert client_in(folder).get("/manifest.json").get_json() == {"name": "From the file"}
    assert client_in(folder, manifest={"name": "Given"}).get("/manifest.json").get_json() == {"name": "Given"}
    other = folder / "other.json"
    other.write_text(json.dumps({"name": "Other"}), encoding="utf-8")
    assert client_in(folder, manifest=other).get("/manifest.json").get_json() == {"name": "Other"}


@pytest.mark.parametrize(
    ("text", "named"), [("{", "is no JSON"), ('{"tags": 3}', "tags"), ("[]", "expected an object")]
)
def test_a_wrong_manifest_is_refused(folder, text, named):
    """A manifest that cannot be read or breaks a rule stops setup_app."""
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match=named):
        client_in(folder)


def test_without_a_manifest_there_is_none(tmp_path, monkeypatch):
    """An application without a manifest answers 404 for it."""
    monkeypatch.chdir(tmp_path)
    assert client_in(tmp_path).get("/manifest.json").status_code == 404


def test_the_applications_own_routes_win(folder):
    """A manifest route or a start page of the application is what is served."""

    def prepare(app):
        app.add_url_rule("/manifest.json", "manifest", lambda: {"name": "Mine"})
        app.add_url_rule("/", "start", lambda: "mine")

    client = client_in(folder, prepare)
    assert client.get("/manifest.json").get_json() == {"name": "Mine"}
    assert client.get("/").text == "mine"


@pytest.mark.parametrize("path", ["/", "/readme"])
@pytest.mark.shows("utils.staticRouter")
def test_the_readme_is_a_redirect(folder, path):
    """The start page and /readme lead to the dashboard's readme of this host."""
    response = client_in(folder).get(path, base_url="https://shop.example:8443")
    assert response.status_code == 302
    assert response.location == "https://dashboard.hullapp.io/readme?url=https%3A%2F%2Fshop.example%3A8443"


@pytest.mark.parametrize(
    ("path", "content"),
    [("/logo.png", b"logo"), ("/assets/logo.png", b"logo"), ("/assets/img/icon.svg", b"icon"), ("/app.js", b"js")],
)
@pytest.mark.shows("utils.staticRouter")
def test_files_are_served(folder, path, content):
    """Files of assets and dist are served."""
    with client_in(folder).get(path) as response:
        assert response.data == content


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/assets/../secret.txt",
        "/assets/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets//etc/passwd",
        "/assets/.hidden",
        "/assets/img",
        "/secret.txt",
        "/assets/..\\secret.txt",
        "/assets/logo.png%00.txt",
        "/assets/%c0%ae%c0%ae/secret.txt",
        "/assets/" + "long" * 100,
        "/assets/" + "deep/" * 2000,
    ],
)
@pytest.mark.attack("path traversal in assets")
def test_nothing_else_is_served(folder, path):
    """Neither hidden files nor anything outside the two folders can be reached."""
    assert client_in(folder).get(path).status_code == 404


@pytest.mark.parametrize(("own", "limit"), [(None, 40 * 1024 * 1024), (1000, 1000)])
@pytest.mark.attack("bodies of 20 MB and more")
def test_bodies_are_bounded(world, own, limit):
    """A larger body than the application's limit, or than 40 MiB when it has none, is answered 413 without a read."""
    app = world.app(action_handler(print), batcher_handler(print), setup=False)
    app.config["MAX_CONTENT_LENGTH"] = own
    client = world.setup(app).test_client()
    for path in ("/b0", "/b1"):
        announced = {"CONTENT_LENGTH": str(limit + 1), "CONTENT_TYPE": "application/json"}
        assert client.post(f"{path}?{query()}", environ_overrides=announced).status_code == 413
        assert client.post(path, environ_overrides=announced).status_code in {403, 413}


def test_files_are_read_only(folder):
    """Other methods than GET and HEAD find no files."""
    client = client_in(folder)
    with client.head("/logo.png") as response:
        assert response.status_code == 200
    assert client.post("/logo.png").status_code == 404
    assert client.post("/").status_code == 404


# -- jobs


def job_client(world, jobs):
    """Return the test client of an application that enqueues what the query names."""
    from flask import request

    from hull_sdk import current_context

    connector = world.connector()
    app = world.app(setup=False)
    app.add_url_rule("/x", "x", lambda: current_context.enqueue(request.args["job"], {"n": 1}))
    world.setup(app, connector)
    connector.worker(jobs)
    return app.test_client()


@pytest.mark.shows("Connector.worker")
def test_a_job_succeeds_once_what_it_sent_is_accepted(world):
    """A job whose writes are not accepted is tried again."""
    calls = []

    def write(ctx, payload):
        calls.append((ctx.attempt, payload))
        ctx.client.as_user({"email": "ann@acme.example"}).traits({"a": 1})
        if len(calls) == 1:
            world.platform.firehose_answer = lambda _batch: ("unpaid", 402)
        else:
            world.platform.firehose_answer = lambda batch: {"accepted": len(batch)}

    job_client(world, {"write": write}).get(f"/x?{query()}&job=write")
    world.runtime.tasks.sleep(60)
    assert calls == [(1, {"n": 1}), (2, {"n": 1})]
    assert world.metric_names().count("ship.job.write.start") == 2
    assert world.metric_names().count("ship.job.write.error") == 1


def test_an_unknown_job_is_reported(world):
    """A job that nobody knows fails and names those that are known."""
    job_client(world, {"write": print}).get(f"/x?{query()}&job=other")
    world.runtime.tasks.sleep(600)
    (record, *_) = world.instrumentation.exceptions
    assert "Job not found: 'other'; Connector.worker knows: write" in str(record.error)


def test_jobs_are_functions():
    """Anything but a function is an error."""
    with pytest.raises(InvalidArgumentError, match="the job 'a' is 3"):
        Connector(host_secret="s").worker({"a": 3})


def test_a_worker_needs_an_application_and_jobs():
    """start_worker names what is missing."""
    connector = Connector(host_secret="s")
    with pytest.raises(InvalidArgumentError, match="setup_app"):
        connector.start_worker()
    connector.setup_app(Flask("x"))
    with pytest.raises(InvalidArgumentError, match="no jobs"):
        connector.start_worker("queueApp")
    connector.worker({"a": print})
    connector.start_worker()
    connector.close()


def test_a_test_has_a_queue_of_its_own(world):
    """Doubles replace the queue in memory as well, and give it back."""
    from hull_sdk.core.net import HostPatterns

    app = world.connector().setup_app(Flask("x"))
    extension = app.extensions["hull"]
    before = (extension.queue, extension.senders, extension.trust, extension.instrumentation, extension.runtime.tasks)
    trust = HostPatterns(["x.test"])
    restore = extension.use_doubles(runtime=world.runtime, trust=trust, instrumentation=world.instrumentation)
    assert extension.trust is trust
    assert extension.runtime.tasks is world.runtime.tasks
    assert isinstance(extension.queue, MemoryQueue)
    assert extension.queue is not before[0]
    restore()
    after = (extension.queue, extension.senders, extension.trust, extension.instrumentation, extension.runtime.tasks)
    assert after == before


# -- processes


def test_more_than_one_process_is_warned_about(monkeypatch, caplog):
    """With several processes and a cache in memory, setup_app warns that duplicates may be handled twice."""
    monkeypatch.setenv("WEB_CONCURRENCY", "1")
    Connector(host_secret="s").setup_app(Flask("x"))
    assert "connector.cache.unshared" not in caplog.messages
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    with caplog.at_level(logging.WARNING):
        Connector(host_secret="s").setup_app(Flask("x"))
    assert "connector.cache.unshared" in caplog.messages
    caplog.clear()
    Connector(host_secret="s", redis_url="redis://127.0.0.1:1").setup_app(Flask("x"))
    assert "connector.cache.unshared" not in caplog.messages


@pytest.mark.parametrize(("value", "expected"), [(None, 8082), ("", 8082), ("80", 80), (0, 0), (" 3000 ", 3000)])
@pytest.mark.shows("Connector option: port")
def test_ports_are_read(value, expected):
    """A port is a number or its text; 8082 is the default."""
    assert port_of(value) == expected
