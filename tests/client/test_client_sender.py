"""The sender on the virtual clock: when it sends, what it repeats, what fails, and in which order."""

from __future__ import annotations

import json
import logging

import pytest
from client_sinks import FIREHOSE_HOST, claims_of

from hull_sdk.core.retry import RetryPolicy
from hull_sdk.errors import (
    ApiError,
    ConnectorNotFoundError,
    CredentialsError,
    InvalidArgumentError,
    NetworkError,
    OrganizationDisabledError,
    QueueFullError,
    RateLimitError,
    RejectedError,
    TransientError,
)

ANN = {"email": "ann@acme.test"}
BOB = {"email": "bob@acme.test"}


def send(client, *numbers, claims=ANN):
    """Send one traits message for each number; return the Futures."""
    user = client.as_user(claims)
    return [user.traits({"n": number}) for number in numbers]


def events(caplog, level):
    """Return the names of the events logged at a level."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_a_message_is_sent_when_it_has_waited_long_enough(client, sink, runtime):
    """The oldest message's age decides."""
    send(client, 1)
    runtime.tasks.sleep(0.999)
    assert sink.accepted == []
    runtime.tasks.sleep(0.001)
    assert sink.values() == [1]


@pytest.mark.shows("Client option: flushAfter")
def test_the_age_of_the_oldest_counts_however_many_follow(client, sink, runtime):
    """A message every half second does not put off the sending."""
    for number in range(4):
        send(client, number)
        runtime.tasks.sleep(0.5)
    assert [len(batch) for batch in sink.batches] == [2, 2]


@pytest.mark.shows("Client option: flushAt")
def test_enough_messages_are_sent_at_once(make_client, sink, runtime):
    """flush_at messages in a lane do not wait."""
    client = make_client(flush_at=3)
    send(client, 1, 2)
    runtime.tasks.sleep(0)
    assert sink.accepted == []
    send(client, 3)
    runtime.tasks.sleep(0)
    assert sink.values() == [1, 2, 3]


def test_a_backlog_goes_in_larger_batches(make_client, sink):
    """Five hundred messages fit into a request, whatever flush_at is."""
    client = make_client(flush_at=2)
    send(client, *range(1200))
    assert client.flush().sent == 1200
    assert [len(batch) for batch in sink.batches] == [500, 500, 200]


def test_a_batch_has_at_most_a_million_bytes(make_client, sink):
    """Large messages go in smaller batches."""
    client = make_client()
    user = client.as_user(ANN)
    for number in range(5):
        user.traits({"n": number, "text": "x" * 400_000})
    client.flush()
    assert [len(batch) for batch in sink.batches] == [2, 2, 1]
    assert sink.values() == [0, 1, 2, 3, 4]


def test_bytes_make_a_lane_full_too(make_client, sink, runtime):
    """A megabyte does not wait for flush_at."""
    client = make_client()
    user = client.as_user(ANN)
    for number in range(3):
        user.traits({"n": number, "text": "x" * 400_000})
    runtime.tasks.sleep(0)
    assert sink.values() == [0, 1]


def test_waiting_for_a_future_sends_it(client, sink, runtime):
    """On the virtual clock result() makes the sending happen."""
    (future,) = send(client, 1)
    future.result()
    assert sink.values() == [1]
    assert runtime.clock.monotonic() == pytest.approx(1.0)


def test_one_worker_keeps_the_order_of_all_calls(make_client, sink):
    """With workers=1 messages of different users arrive in the order of the calls."""
    client = make_client(workers=1, flush_at=7)
    for number in range(100):
        send(client, number, claims={"external_id": str(number % 10)})
    client.flush()
    assert sink.values() == list(range(100))


def test_equal_claims_keep_their_order_however_they_are_written(make_client, sink, runtime):
    """The order of keys, numbers and extra keys make no difference: nothing overtakes a batch that is repeated."""
    client = make_client(workers=64, flush_at=1)
    sink.script = [503] * 10
    forms = [
        {"external_id": "1", "email": "a@b.test"},
        {"email": "a@b.test", "external_id": 1},
        {"email": "a@b.test", "external_id": "1", "name": "A", "id": None},
    ]
    for number in range(60):
        send(client, number, claims=forms[number % 3])
        runtime.tasks.sleep(0.1)
    client.as_account({"domain": "b.test"}).traits({"n": "linked"})
    client.as_user(BOB).account({"domain": "b.test"}).traits({"n": "linked"})
    client.flush(600)
    assert [value for value in sink.values() if value != "linked"] == list(range(60))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599, "drop", "lost"])
def test_what_may_pass_is_repeated_unchanged(client, sink, status, caplog):
    """The same messages with the same ids are sent again, with a warning and no error."""
    caplog.set_level(logging.WARNING)
    sink.script = [status, status]
    futures = send(client, 1, 2)
    result = client.flush(60)
    assert (result.sent, result.failed, result.pending) == (2, 0, 0)
    assert [[m["message_id"] for m in batch] for batch in sink.batches] == [[f.result() for f in futures]] * 3
    assert sink.values() == [1, 2]
    assert events(caplog, logging.WARNING) == ["firehose.retry"] * 2
    assert events(caplog, logging.ERROR) == []


def test_an_answer_cut_in_half_is_repeated(client, runtime, sink):
    """A 200 whose body is not complete counts as no answer."""
    answers = [("200 OK", "100", b'{"acc'), ("200 OK", "2", b"{}")]
    seen = []

    def app(environ, start_response):
        seen.append(json.loads(environ["wsgi.input"].read())["batch"][0]["message_id"])
        status, length, body = answers.pop(0)
        start_response(status, [("Content-Length", length)])
        return [body]

    runtime.net.mount(FIREHOSE_HOST, app)
    (future,) = send(client, 1)
    assert client.flush(60).sent == 1
    assert seen == [future.result()] * 2


@pytest.mark.parametrize("body", [b"ok", b"", b"\xff", b"[]", b'{"rejected": 3}', b'{"rejected": [3, {"index": "0"}]}'])
def test_a_success_without_a_readable_list_accepts_all(client, runtime, sink, body):
    """Whatever else a 2xx says, the messages are taken."""

    def app(environ, start_response):
        start_response("202 Accepted", [])
        return [body]

    runtime.net.mount(FIREHOSE_HOST, app)
    send(client, 1)
    assert client.flush().sent == 1


def test_retry_after_is_obeyed(client, sink, runtime):
    """The next try is never earlier than the platform asks."""
    sink.script = [429]
    sink.answer_headers = [("Retry-After", "20")]
    send(client, 1)
    client.flush(19.9)
    assert len(sink.batches) == 1
    client.flush(60)
    assert 20 <= runtime.clock.monotonic() <= 22.1
    assert sink.values() == [1]


def test_a_failing_batch_holds_up_its_own_people_only(make_client, sink, runtime):
    """Nothing about the same people overtakes a batch that is repeated; others go on."""
    client = make_client(workers=2)
    down = lambda: 500 if claims_of(sink.batches[-1][0])["io.hull.asUser"] == ANN else 200  # noqa: E731
    sink.script = [down] * 4
    send(client, 1, claims=ANN)
    client.flush(0.1)
    send(client, 2, claims=ANN)
    send(client, 3, claims=BOB)
    client.flush(60)
    assert sink.values() == [3, 1, 2]


def test_what_fails_too_long_is_given_up(make_client, sink, runtime, caplog):
    """After total_s the Futures fail, one error is logged, and later messages go on."""
    client = make_client(retry=RetryPolicy(base_s=1, cap_s=4, total_s=20))
    sink.script = [503] * 100
    futures = send(client, 1, 2)
    result = client.flush(100)
    assert (result.sent, result.failed, result.pending) == (0, 2, 0)
    assert 15 <= runtime.clock.monotonic() <= 20
    assert all(isinstance(f.exception(), TransientError) for f in futures)
    assert [str(e) for e in result.errors] == ["the batch was answered 503: as told"] * 2
    assert events(caplog, logging.ERROR) == ["firehose.lost"]
    sink.script = []
    send(client, 3)
    assert client.flush().sent == 1


def test_a_limit_of_the_rate_ends_as_such(make_client, sink):
    """After total_s of 429 the error is a RateLimitError with the pause."""
    client = make_client(retry=RetryPolicy(total_s=1))
    sink.script = [429] * 9
    sink.answer_headers = [("Retry-After", "30")]
    (future,) = send(client, 1)
    client.flush(60)
    assert isinstance(future.exception(), RateLimitError)
    assert future.exception().retry_after == 30


def test_no_answer_ends_as_a_network_error(make_client, runtime):
    """An address that nobody answers at fails as NetworkError after total_s."""
    client = make_client(retry=RetryPolicy(total_s=1), firehose_url="https://nobody.test/")
    (future,) = send(client, 1)
    assert client.flush(60).failed == 1
    assert isinstance(future.exception(), NetworkError)


def test_a_network_that_breaks_otherwise_is_repeated_too(client, runtime, sink):
    """Even an unexpected error on the way loses nothing."""
    answers = [ZeroDivisionError("x"), None]

    def app(environ, start_response):
        error = answers.pop(0)
        if error:
            raise error
        return sink(environ, start_response)

    runtime.net.mount(FIREHOSE_HOST, app)
    send(client, 1)
    assert client.flush(60).sent == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, CredentialsError),
        (402, OrganizationDisabledError),
        (403, CredentialsError),
        (404, ConnectorNotFoundError),
        (400, ApiError),
        (405, ApiError),
        (302, ApiError),
    ],
)
def test_a_refused_batch_fails_at_once(client, sink, status, kind, caplog):
    """Nothing is repeated, every Future has the error, and the secret is in none."""
    sink.script = [status]
    futures = send(client, 1, 2)
    result = client.flush()
    assert (result.failed, len(sink.batches)) == (2, 1)
    assert all(type(f.exception()) is kind for f in futures)
    assert getattr(futures[0].exception(), "status", status) == status
    assert events(caplog, logging.ERROR) == ["firehose.lost"]


def test_a_batch_that_is_too_large_is_split(client, sink):
    """A 413 halves the batch until it passes, and keeps the order."""
    sink.largest_batch = 3
    send(client, *range(20))
    assert client.flush().sent == 20
    assert sink.values() == list(range(20))
    assert sink.repeated == 0


def test_a_message_that_is_too_large_alone_is_refused(client, sink):
    """A 413 to a single message fails it, and the others pass."""
    sink.script = [413, 200, 413, 413]
    futures = send(client, 1, 2, 3)
    result = client.flush()
    failed = [f.exception() for f in futures if f.exception()]
    assert (result.sent, result.failed) == (2, 1)
    assert isinstance(failed[0], RejectedError)
    assert failed[0].code == "TOO_LARGE"


def test_rejected_messages_fail_alone(client, sink, caplog):
    """Messages that the platform lists fail with code and reason; the others succeed; nothing is repeated."""
    sink.script = [
        lambda: {
            "accepted": 1,
            "rejected": [
                {"index": 0, "message_id": None, "code": "NO_IDENTIFIER", "reason": "r0"},
                {"index": 7, "message_id": sink.batches[-1][2]["message_id"], "code": "BAD_TOKEN", "reason": "r2"},
                {"index": 99, "message_id": None, "code": "X", "reason": "beyond"},
                {"index": 1, "message_id": "unknown", "code": "X", "reason": "unknown"},
            ],
        }
    ]
    futures = send(client, 1, 2, 3)
    result = client.flush()
    assert (result.sent, result.failed, len(sink.batches)) == (1, 2, 1)
    assert futures[1].result()
    assert [(f.exception().code, f.exception().reason) for f in (futures[0], futures[2])] == [
        ("NO_IDENTIFIER", "r0"),
        ("BAD_TOKEN", "r2"),
    ]
    assert [e.message_id for e in result.errors] == [sink.batches[0][0]["message_id"], sink.batches[0][2]["message_id"]]
    assert events(caplog, logging.ERROR) == ["firehose.rejected"] * 2


def test_flush_counts_since_the_last_flush(make_client, sink):
    """What was sent in the background is reported once."""
    client = make_client(flush_at=2, workers=1)
    send(client, 1, 2, 3)[1].result()
    assert client.flush().sent == 3
    assert client.flush() == client.as_user(ANN).flush()
    assert client.flush().sent == 0


def test_flush_gives_up_waiting_on_time(client, sink, runtime):
    """What cannot be sent in time stays pending and is sent later."""
    sink.script = [503] * 3
    sink.answer_headers = [("Retry-After", "30")]
    send(client, 1, 2)
    result = client.flush(5)
    assert (result.sent, result.failed, result.pending) == (0, 0, 2)
    assert runtime.clock.monotonic() == 5
    runtime.tasks.sleep(120)
    assert client.flush().sent == 2


def test_flush_says_why_messages_are_pending(make_client, sink):
    """What still waits for another try has its reason among the errors, once; when it is through, there is none."""
    client = make_client(workers=2)
    sink.script = [503]
    send(client, 1, 2)
    result = client.flush(0)
    assert [str(error)[:38] for error in result.errors] == ["the batch was answered 503: as told"[:38]]
    assert (result.pending, result.failed) == (2, 0)
    assert client.flush(60).errors == []


def test_a_full_queue_blocks_and_then_raises(make_client, sink, runtime):
    """The caller waits for room as long as block_s; then it gets the error, and nothing else is lost."""
    client = make_client(queue_size=5, block_s=3)
    sink.script = [503] * 100
    send(client, *range(5))
    with pytest.raises(QueueFullError, match="5 messages wait and none was sent within 3 s"):
        send(client, 5)
    assert runtime.clock.monotonic() == 3
    sink.script = []
    assert client.flush(60).sent == 5
    assert sink.values() == [0, 1, 2, 3, 4]


def test_a_full_queue_waits_for_room(make_client, sink, runtime):
    """Calls go on as soon as there is room, without waiting for flush_after_ms."""
    client = make_client(queue_size=5)
    send(client, *range(23))
    client.flush()
    assert sink.values() == list(range(23))
    assert runtime.clock.monotonic() == 0


def test_bytes_fill_the_queue_too(make_client, sink):
    """The queue is bounded in bytes as well as in messages."""
    client = make_client(queue_bytes=500_000, block_s=0)
    sink.script = [500]
    user = client.as_user(ANN)
    user.traits({"text": "x" * 400_000})
    with pytest.raises(QueueFullError, match="raise queue_size"):
        user.traits({"text": "x" * 400_000})


def test_a_closed_client_sends_what_it_has_and_takes_no_more(client, sink):
    """close() flushes; later calls raise a clear error, and closing twice is fine."""
    send(client, 1)
    assert client.close().sent == 1
    with pytest.raises(InvalidArgumentError, match="the client was closed and takes no more messages; make a new one"):
        send(client, 2)
    assert client.close().sent == 0


def test_a_client_closes_at_the_end_of_its_block(make_client, sink):
    """As a context manager it flushes."""
    with make_client() as client:
        send(client, 1)
    assert sink.values() == [1]


def test_callbacks_may_send_and_flush(make_client, sink):
    """A Future's callback may use the client, even when the queue is full."""
    client = make_client(queue_size=1, workers=1)
    results = []

    def again(_):
        send(client, 2, 3)
        results.append(client.flush(5))

    send(client, 1)[0].add_done_callback(again)
    client.flush()
    assert sink.values() == [1, 2, 3]
    assert (results[0].sent, results[0].pending) == (3, 0)


def test_a_callback_that_fails_keeps_nobody_waiting(client, sink):
    """An exception in a callback, SystemExit included, does not reach the other messages."""
    futures = send(client, 1, 2, 3)
    futures[0].add_done_callback(lambda _: 1 / 0)
    futures[1].add_done_callback(lambda _: exec("raise SystemExit(3)"))
    assert client.flush().sent == 3
    assert all(future.done() for future in futures)


def test_a_message_cannot_be_taken_back(client, sink):
    """Cancelling its Future does not unsend a message, and disturbs nothing."""
    first, second = send(client, 1, 2)
    first.cancel()
    assert client.flush().sent == 2
    assert second.result()
    assert sink.values() == [1, 2]


def test_a_client_follows_its_runtime(make_client, sink, runtime):
    """When the runtime's doors are exchanged, waiting messages are sent through the new ones."""
    from hull_sdk.core.runtime import Runtime

    other = Runtime.virtual(seed=2)
    other.net.mount(FIREHOSE_HOST, sink)
    client = make_client()
    send(client, 1)
    runtime.become(other)
    send(client, 2)
    assert client.flush().sent == 2
    assert sink.values() == [1, 2]
