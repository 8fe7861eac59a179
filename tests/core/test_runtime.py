"""The doors in one bundle: real, virtual, and exchanged while components hold it."""

from __future__ import annotations

from datetime import UTC, datetime

from hull_sdk.core.clock import VIRTUAL_START
from hull_sdk.core.net import HttpNetwork, Request, WsgiNetwork
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.core.virtual_tasks import VirtualTasks


def test_the_system_runtime_is_the_real_thing():
    """Threads, sockets and the machine's time, without starting or opening anything yet."""
    runtime = Runtime.system()
    assert isinstance(runtime.tasks, ThreadTasks)
    assert isinstance(runtime.net, HttpNetwork)
    assert runtime.clock.now() > VIRTUAL_START


def test_a_virtual_runtime_repeats_itself():
    """The same seed gives the same ids, at the same time, on a clock that only waiting moves."""
    one, two = Runtime.virtual(seed=3), Runtime.virtual(seed=3)
    assert [one.ids.uuid(), one.ids.random()] == [two.ids.uuid(), two.ids.random()]
    assert one.clock.now() == VIRTUAL_START
    one.tasks.sleep(5)
    assert (one.clock.monotonic(), two.clock.monotonic()) == (5.0, 0.0)


def test_a_virtual_runtime_starts_where_it_is_told():
    """The start of the clock may be any aware moment."""
    start = datetime(2030, 2, 3, tzinfo=UTC)
    assert Runtime.virtual(start=start).clock.now() == start


def test_the_network_records_in_the_time_of_the_clock():
    """Exchanges carry the virtual time at which they happened."""
    runtime = Runtime.virtual()

    def app(_environ, start_response):
        start_response("204 No Content", [])
        return []

    runtime.net.mount("a.test", app)
    runtime.tasks.sleep(60)
    runtime.net.send(Request(method="GET", url="https://a.test/"))
    assert runtime.net.exchanges[0].at == VIRTUAL_START.timestamp() + 60


def test_whoever_holds_a_runtime_follows_when_it_becomes_another():
    """Exchanging the doors reaches every holder, since each asks the bundle each time."""
    runtime, virtual = Runtime.system(), Runtime.virtual()
    holder = {"runtime": runtime}
    runtime.become(virtual)
    assert holder["runtime"].clock is virtual.clock
    assert isinstance(holder["runtime"].tasks, VirtualTasks)
    assert isinstance(holder["runtime"].net, WsgiNetwork)
    assert holder["runtime"].ids is virtual.ids
