"""What the parts of a platform need of what surrounds them: organizations of the platform, delivery of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from hull_sdk.core.clock import Clock, OffsetClock
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock, RLock
from hull_sdk.platform.carrier import Carrier
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.event_contexts import Locator
from hull_sdk.platform.notifications import Catalog
from hull_sdk.wire.entities import EntityKind

if TYPE_CHECKING:
    from hull_sdk.platform.organization import Organization

__all__ = ["Host", "Landlord"]


class Landlord(Protocol):
    """What an organization needs of the platform that it lives on."""

    runtime: Runtime
    clock: OffsetClock
    locator: Locator | None
    carrier: Carrier
    address: str | None
    installing: Lock
    history: int | None

    @property
    def file_key(self) -> bytes:
        """The key that signs the addresses of files."""
        ...

    def next_sequence(self) -> int:
        """Return the next number of the platform's records."""
        ...

    def find_connector(self, connector_id: str) -> tuple[Organization, Connector] | None:
        """Return a connector of any organization."""
        ...


class Host(Protocol):
    """What the dispatcher needs of the organization that it serves."""

    host: str
    lock: RLock
    connectors: dict[str, Any]

    @property
    def clock(self) -> Clock:
        """Domain time."""
        ...

    def catalog(self) -> Catalog:
        """Return the segments as they are now."""
        ...

    def is_active(self, kind: EntityKind, entity_id: str) -> bool:
        """Tell whether an entity is to be served first."""
        ...

    def was_deleted(self, kind: EntityKind, entity_id: str) -> bool:
        """Tell whether an entity was deleted lately."""
        ...

    def dialled_host(self) -> str:
        """Return the host under which connectors reach the organization."""
        ...
