"""What orchestrators ask: whether a process lives, and whether it can take work."""

from __future__ import annotations

import pytest

from hull_sdk.core.logs import fields_of

CLOSED = "redis://:hunter2@127.0.0.1:1/0"


def ask(app, path):
    """Return status and decoded answer of a request without credentials."""
    response = app.test_client().get(path)
    return response.status_code, response.json


def test_a_process_that_answers_lives(world):
    """Health is asked of the process alone: also without the store it answers, and nobody has to sign in."""
    assert ask(world.app(redis_url=CLOSED), "/health") == (200, {"status": "ok"})


def test_without_a_store_a_process_is_ready_at_once(world):
    """With everything in memory there is nothing that could be away."""
    assert ask(world.app(), "/ready") == (200, {"status": "ok"})


def test_a_process_is_not_ready_while_its_store_is_away(world, own_valkey, caplog):
    """Readiness follows the store, looks at it once a second at most, and tells nobody where it is."""
    valkey = own_valkey()
    app = world.app(redis_url=valkey.url)
    assert ask(app, "/ready") == (200, {"status": "ok", "store": "ok"})
    valkey.kill()
    assert ask(app, "/ready")[0] == 200
    world.runtime.tasks.sleep(1.1)
    assert ask(app, "/ready") == (503, {"status": "unready", "store": "away"})
    valkey.start()
    assert ask(app, "/ready")[0] == 503
    world.runtime.tasks.sleep(1.1)
    assert ask(app, "/ready")[0] == 200
    (record,) = [record for record in caplog.records if record.message == "connector.unready"]
    assert "cannot be used now" in fields_of(record)["reason"]
    app.extensions["hull"].runs.close()


def test_neither_answer_nor_log_tells_the_stores_password(world, caplog):
    """The address's password stands nowhere."""
    assert ask(world.app(redis_url=CLOSED), "/ready")[0] == 503
    assert "hunter2" not in repr([vars(record) for record in caplog.records])


def test_a_process_that_stops_is_not_ready_and_lives(world):
    """From the begin of the stop on no new work is asked for, and the process is not killed for that."""
    app = world.app()
    app.extensions["hull"].shutdown.begin()
    assert ask(app, "/ready") == (503, {"status": "stopping"})
    assert ask(app, "/health") == (200, {"status": "ok"})


def test_an_own_view_wins(world):
    """An application that answers these paths itself is not asked about."""
    app = world.app(setup=False)
    app.add_url_rule("/health", "own", lambda: {"status": "fine"})
    world.setup(app)
    assert ask(app, "/health") == (200, {"status": "fine"})


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_only_reading_is_answered(world, path):
    """HEAD is answered like GET, and nothing can be posted."""
    client = world.app().test_client()
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 404
