"""The mailboxes of an organization's connectors, and the workers that empty them.

Rules: section "Notifications" of ``docs/protocol.md``. A mailbox belongs to one connector and channel; each of its
lanes is a :class:`Route` with a worker of its own. Whoever calls holds the organization's lock.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hull_sdk.core.tasks import Tasks, Worker
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.lanes import Lane, Mailbox
from hull_sdk.platform.packing import pack, restore_state
from hull_sdk.platform.store import KINDS
from hull_sdk.wire.entities import EntityKind

__all__ = ["DELETIONS", "UPDATES", "Mailboxes", "Route"]

#: Channels of users and accounts; the others tell of a connector or a segment.
UPDATES: Final[dict[EntityKind, str]] = {"user": "user:update", "account": "account:update"}
DELETIONS: Final[dict[EntityKind, str]] = {"user": "user:delete", "account": "account:delete"}
#: What is told last of an entity waits for what is under way of it in another channel, and that wakes it.
_EARLIER: Final = {DELETIONS[kind]: UPDATES[kind] for kind in KINDS}
_LATER: Final = {earlier: later for later, earlier in _EARLIER.items()}


@dataclass(eq=False, slots=True)
class Route:
    """A lane of a connector's mailbox and the worker that empties it.

    Args:
        connector: Who is told.
        box: The mailbox.
        lane: One of its lanes.
        worker: Delivers what is due on the lane.
        sending: Whether a request is under way.
    """

    connector: Connector
    box: Mailbox
    lane: Lane
    worker: Worker | None = None
    sending: bool = False


class Mailboxes:
    """What the connectors of one organization are still to be told.

    Args:
        tasks: Gives each route its worker.
        deliver: The worker's step: delivers what is due on a route and returns the seconds until more is.
    """

    def __init__(self, tasks: Tasks, deliver: Callable[[Route], float | None]) -> None:
        self._tasks = tasks
        self._deliver = deliver
        self._boxes: dict[tuple[str, str], Mailbox] = {}
        self._routes: dict[tuple[str, str, str], Route] = {}
        #: Requests under way of mailboxes that were closed meanwhile, by connector and channel.
        self._overhang: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        """How many entities wait or are under way, all connectors together."""
        return sum(len(box) for box in self._boxes.values())

    def open(self, connector: Connector, channel: str) -> Mailbox:
        """Return the mailbox of a connector's channel, made when there is none."""
        box = self._boxes.get((connector.id, channel))
        if box is None:
            earlier = _EARLIER.get(channel)
            waits = None if earlier is None else functools.partial(self._is_telling, connector.id, earlier)
            box = self._boxes[connector.id, channel] = Mailbox(channel, waits)
        return box

    def find(self, connector: Connector, channel: str) -> Mailbox | None:
        """Return the mailbox of a connector's channel, or ``None``."""
        return self._boxes.get((connector.id, channel))

    def of(self, connector: Connector) -> list[Mailbox]:
        """Return the mailboxes of a connector."""
        return [box for (connector_id, _), box in self._boxes.items() if connector_id == connector.id]

    def close(self, connector: Connector, channel: str) -> None:
        """Drop a mailbox with all that waits in it; a request that is under way ends as it ends."""
        self._close(connector.id, channel)

    def close_all(self) -> None:
        """Drop everything."""
        for connector_id, channel in list(self._boxes):
            self._close(connector_id, channel)

    def wake(self, connector: Connector, box: Mailbox, lane: Lane | None) -> None:
        """Have a lane looked at, by a worker that starts with the first look; ``None`` is no lane."""
        if lane is None:
            return
        key = (connector.id, box.channel, lane.name)
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = Route(connector, box, lane)
            name = f"hull-deliver-{connector.id}-{box.channel}-{lane.name}"
            route.worker = self._tasks.worker(functools.partial(self._deliver, route), name=name)
        if route.worker is not None:
            route.worker.wake()

    def wake_all(self, connector: Connector, box: Mailbox | None) -> None:
        """Have every lane of a mailbox looked at."""
        if box is not None:
            for lane in box.lanes.values():
                self.wake(connector, box, lane)

    def wake_later(self, route: Route) -> None:
        """Wake what waits until an entity is no longer told of on this route."""
        later = _LATER.get(route.box.channel)
        if later is not None:
            self.wake_all(route.connector, self.find(route.connector, later))

    def workers(self) -> list[Worker]:
        """Return the workers of all routes."""
        return [route.worker for route in self._routes.values() if route.worker is not None]

    def is_closed(self, route: Route) -> bool:
        """Tell whether a route's mailbox was dropped, also when there is a new one for the same channel."""
        return self.find(route.connector, route.box.channel) is not route.box

    def is_blocked(self, route: Route) -> bool:
        """Tell whether a request of an earlier mailbox for the same channel is still under way."""
        return bool(self._overhang[route.connector.id, route.box.channel])

    def sent(self, route: Route) -> None:
        """Note that a request is over; a mailbox opened anew for its channel meanwhile has waited for that."""
        route.sending = False
        if not self.is_closed(route):
            return
        key = (route.connector.id, route.box.channel)
        self._overhang[key] -= 1
        if self._overhang[key] <= 0:
            del self._overhang[key]
            self.wake_all(route.connector, self._boxes.get(key))
            self.wake_later(route)

    def packed(self) -> list[Any]:
        """Return what waits as plain data: connector id, channel and contents of each mailbox."""
        return [[connector_id, box.channel, pack(box)] for (connector_id, _), box in self._boxes.items()]

    def restore(self, plain: list[Any], connectors: Mapping[str, Connector], shift_s: float) -> None:
        """Take in what was saved, and go on with it.

        Args:
            plain: What :meth:`packed` returned.
            connectors: The organization's, by id.
            shift_s: What to add to times of the monotonic clock.
        """
        for connector_id, channel, state in plain:
            connector = connectors[connector_id]
            box = self.open(connector, channel)
            restore_state(box, state)
            box.shift(shift_s)
            self.wake_all(connector, box)

    def _is_telling(self, connector_id: str, channel: str, key: str) -> bool:
        box = self._boxes.get((connector_id, channel))
        return bool(self._overhang[connector_id, channel]) or (box is not None and box.is_telling(key))

    def _close(self, connector_id: str, channel: str) -> None:
        box = self._boxes.pop((connector_id, channel))
        for name in box.lanes:
            route = self._routes.pop((connector_id, channel, name), None)
            if route is not None and route.worker is not None:
                route.worker.stop()
                if route.sending:
                    self._overhang[connector_id, channel] += 1
