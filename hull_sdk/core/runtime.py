"""The doors, bundled: what a component needs to tell time, make ids, start work and reach the network."""

from __future__ import annotations

from datetime import datetime

from hull_sdk.core.clock import VIRTUAL_START, Clock, VirtualClock
from hull_sdk.core.exchange import Network
from hull_sdk.core.ids import Ids, SeededIds, SystemIds
from hull_sdk.core.tasks import Tasks, ThreadTasks

__all__ = ["Runtime"]


class Runtime:
    """Clock, ids, tasks and network, passed around as one.

    Components keep the bundle and ask it each time, so that a test can exchange what is inside.

    Args:
        tasks: Background work; its clock is the bundle's clock.
        ids: Ids and randomness.
        net: The network.
    """

    def __init__(self, *, tasks: Tasks, ids: Ids, net: Network) -> None:
        self.tasks: Tasks = tasks
        self.ids: Ids = ids
        self.net: Network = net

    @property
    def clock(self) -> Clock:
        """The clock that everything on this bundle reads."""
        return self.tasks.clock

    @classmethod
    def system(cls) -> Runtime:
        """Return the real thing: machine clock, random ids, threads and sockets."""
        # Sockets, TLS and urllib3 take longer to load than all the rest: who only imports the client does without.
        # They are loaded here and not with the first request, where a fork could cut an import short.
        from hull_sdk.core.net import HttpNetwork  # noqa: PLC0415 - as above

        return cls(tasks=ThreadTasks(), ids=SystemIds(), net=HttpNetwork())

    @classmethod
    def virtual(cls, seed: int = 0, start: datetime = VIRTUAL_START) -> Runtime:
        """Return a bundle without threads, sockets or waiting, which repeats itself.

        Args:
            seed: Seed of ids and jitter.
            start: Aware datetime at which the clock starts.
        """
        from hull_sdk.core.virtual_tasks import VirtualTasks  # noqa: PLC0415 - for tests; who sends data does without
        from hull_sdk.core.wsgi import WsgiNetwork  # noqa: PLC0415 - as above

        tasks = VirtualTasks(VirtualClock(start))
        return cls(tasks=tasks, ids=SeededIds(seed), net=WsgiNetwork(tasks.clock.time))

    def become(self, other: Runtime) -> None:
        """Take over the doors of another bundle; everything that holds this one follows.

        Args:
            other: Whose doors to use from now on.
        """
        self.tasks, self.ids, self.net = other.tasks, other.ids, other.net
