"""Whatever fails on the way: nothing lost, nothing twice, nothing out of order."""

from __future__ import annotations

from client_sinks import FIREHOSE_HOST, HOST, ID, SECRET, Sink
from hypothesis import given, settings
from hypothesis import strategies as st

from hull_sdk.client import Client
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import MessageDroppedError

PEOPLE = 5
REJECT_FIRST = {"rejected": [{"index": 0, "message_id": None, "code": "NO_IDENTIFIER", "reason": "r"}]}

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, PEOPLE - 1), st.integers(1, 6)),
        st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.3, 1.0, 7.5])),
        st.tuples(st.just("flush"), st.sampled_from([0.0, 0.5, 20.0])),
    ),
    max_size=25,
)
FAILURES = st.lists(st.sampled_from([200, 500, 503, 429, 408, "drop", "lost", 413, REJECT_FIRST]), max_size=20)
OPTIONS = st.fixed_dictionaries(
    {
        "workers": st.sampled_from([1, 2, 4]),
        "flush_at": st.sampled_from([1, 3, 50]),
        "flush_after_ms": st.sampled_from([0, 200, 1000]),
        "queue_size": st.sampled_from([1, 4, 10_000]),
        "overflow": st.sampled_from(["raise", "raise", "drop_oldest", "drop_newest"]),
    }
)


@given(actions=ACTIONS, failures=FAILURES, options=OPTIONS, seed=st.integers(0, 99))
@settings(max_examples=300)
def test_every_message_arrives_once_and_in_order(actions, failures, options, seed):
    """Random sends, pauses and flushes against random failures lose, repeat and reorder nothing.

    Each message is accepted once, fails for good or is dropped where that was asked for, the order of each person's messages is kept, and the counts of
    the flushes add up to what the Futures say.
    """
    runtime, sink = Runtime.virtual(seed), Sink()
    runtime.net.mount(FIREHOSE_HOST, sink)
    sink.script = list(failures)
    client = Client(
        id=ID,
        secret=SECRET,
        organization=HOST,
        runtime=runtime,
        block_s=10_000,
        retry=RetryPolicy(total_s=10_000),
        **options,
    )
    futures, results = [], []
    for action, *values in actions:
        if action == "send":
            person = client.as_user({"external_id": str(values[0])})
            for _ in range(values[1]):
                futures.append((values[0], person.traits({"n": len(futures), "person": values[0]})))
        elif action == "sleep":
            runtime.tasks.sleep(values[0])
        else:
            results.append(client.flush(values[0]))
    results.append(client.close(100_000))

    failed = {number for number, (_, future) in enumerate(futures) if future.exception() is not None}
    accepted = sorted(sink.values())
    assert accepted == sorted(set(accepted))
    assert set(range(len(futures))) - failed <= set(accepted)
    if "lost" not in failures:  # a message whose answer was lost may be refused when it is repeated
        assert failed.isdisjoint(accepted)
    for person in range(PEOPLE):
        arrived = [m["body"]["n"] for m in sink.accepted if m["body"]["person"] == person]
        assert arrived == sorted(arrived)
    if options["workers"] == 1:
        assert sink.values() == sorted(sink.values())
    assert sum(result.sent for result in results) == len(futures) - len(failed)
    assert sum(result.failed for result in results) == len(failed)
    assert results[-1].pending == 0
    dropped = {n for n in failed if isinstance(futures[n][1].exception(), MessageDroppedError)}
    assert sum(result.dropped for result in results) == len(dropped)
    assert not dropped or options["overflow"] != "raise"
    assert failed == dropped or any(order in (413, REJECT_FIRST) for order in failures)
