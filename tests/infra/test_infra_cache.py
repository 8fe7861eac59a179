"""The cache in memory: its limits, its clock and its objects; what every cache does stands in the contract."""

from __future__ import annotations

import pytest

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.infra import Cache


def virtual_cache(**options) -> Cache:
    """Return a cache on a clock of its own."""
    return Cache(runtime=Runtime.virtual(), **options)


def test_a_value_is_returned_as_the_very_object_that_was_stored():
    """A value comes out as it went in, not as a copy."""
    cache, value = virtual_cache(), {"a": [1]}
    cache.set("key", value)
    assert cache.get("key") is value


def test_the_least_recently_used_value_makes_room():
    """Over the limit the value that was not used for longest goes first."""
    cache = virtual_cache(max_items=2)
    cache.set("a", 1)
    cache.set("b", 2)
    cache.get("a")
    cache.set("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]


def test_scopes_count_towards_one_limit():
    """The limit holds over all scopes together."""
    cache = virtual_cache(max_items=2)
    for name in ("one", "two", "three"):
        cache.scoped(name).set("key", name)
    assert cache.scoped("one").get("key") is None
    assert cache.scoped("three").get("key") == "three"


def test_a_runtime_assigned_later_reaches_the_views_and_forgets_ages_of_another_clock():
    """Exchanging the runtime moves all views to its clock; values with ages on the old clock are forgotten."""
    cache = Cache(ttl_s=60)
    view = cache.scoped("one")
    view.set("key", 1)
    cache.runtime = Runtime.virtual()
    assert view.get("key") is None
    view.set("key", 2)
    view.runtime.tasks.sleep(61)
    assert view.get("key") is None


@pytest.mark.parametrize(
    "make", [lambda: Cache(ttl_s=0), lambda: Cache(ttl_s=float("nan")), lambda: Cache(max_items=0)]
)
def test_limits_that_keep_nothing_are_refused(make):
    """Limits of zero or below, and no numbers, are refused when the cache is made."""
    with pytest.raises(InvalidArgumentError, match=r"is (0|nan)"):
        make()


def test_the_repr_names_the_scope_and_no_values():
    """The text form of a cache names its scope and never shows what it holds."""
    cache = virtual_cache().scoped("one")
    cache.set("secret", "hunter2")
    assert repr(cache) == "Cache(ttl_s=60, scope='one')"
