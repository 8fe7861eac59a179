from __future__ import annotations

import pytest
from cache_kinds import MemoryKind, ValkeyKind


@pytest.fixture(params=["memory", "valkey"])
def kind(request):
    """Return one kind of cache after the other."""
    if request.param == "memory":
        yield MemoryKind()
        return
    kind = ValkeyKind(request.getfixturevalue("valkey"))
    yield kind
    kind.close()
