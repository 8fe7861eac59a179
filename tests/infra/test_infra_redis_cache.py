"""The cache on Valkey beyond the contract: other processes, bad addresses, secrets, and a server that is away."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError, MissingExtraError, NetworkError
from hull_sdk.infra import RedisCache
from hull_sdk.infra.entries import Found
from hull_sdk.infra.redis_cache import RedisEntries
from hull_sdk.infra.redis_store import RedisStore

CLOSED = "redis://hull:hunter2@127.0.0.1:1/0?password=hunter2"


@pytest.fixture
def caches(valkey):
    """Return a function that opens the same cache again, as another process does."""
    opened = []

    def open_cache(**options) -> RedisCache:
        opened.append(RedisCache(valkey.url, **options))
        return opened[-1]

    yield open_cache
    for cache in opened:
        cache.close()


def test_processes_see_the_same_values(caches):
    """What one cache stores, adds, replaces and deletes, another one sees."""
    one, two = caches(), caches()
    one.scoped("a").set("key", {"x": 1})
    assert two.scoped("a").get("key") == {"x": 1}
    assert not two.scoped("a").add("key", 2)
    two.scoped("a").delete("key")
    assert one.scoped("a").get("key") is None
    assert (one.shared, one.scoped("a").shared) == (True, True)


def test_what_comes_out_is_a_copy(caches):
    """Changing a value that came out of the cache changes nobody else's."""
    cache = caches()
    cache.set("key", {"rows": [1]})
    cache.get("key")["rows"].append(2)
    assert cache.get("key") == {"rows": [1]}


@pytest.mark.parametrize("how", ["set", "delete"])
def test_a_value_changed_by_another_process_during_a_fetch_is_not_overwritten(caches, how):
    """What another process sets or deletes while a fetch is going on stays so."""
    one, two = caches(), caches()

    def fetch() -> str:
        two.set("key", "new") if how == "set" else two.delete("key")
        return "old"

    assert one.wrap("key", fetch) == "old"
    assert one.get("key") == ("new" if how == "set" else None)


def test_of_two_processes_that_fetch_the_later_one_stores(caches):
    """When two processes fetch at the same time, the one that began last stores its value."""
    one, two = caches(), caches()
    assert one.wrap("key", lambda: [two.wrap("key", lambda: "later"), "earlier"][1]) == "earlier"
    assert one.get("key") == "later"


def test_every_key_has_a_time_limit(caches, valkey):
    """Nothing stays on the server for ever, whichever call stored it, an unfinished fetch included."""
    cache = caches()
    cache.set("a", 1, ttl_s=float("inf"))
    cache.add("b", 1)
    cache.wrap("c", lambda: 1)
    cache.replace("a", 1, 2)
    with pytest.raises(SystemExit):
        cache.wrap("d", lambda: [caches().wrap("d", lambda: 1), exec("raise SystemExit(1)")])
    with valkey.client() as client:
        assert {key: client.pttl(key) > 0 for key in client.scan_iter()} == dict.fromkeys(
            (b"hull:a", b"hull:b", b"hull:c", b"hull:d"), True
        )


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), b"bytes"])
def test_what_is_no_json_is_refused(caches, value):
    """A value that other processes could not read is refused by name."""
    with pytest.raises(InvalidArgumentError, match="'key' cannot be shared between processes as JSON"):
        caches().set("key", value)


def test_a_value_over_the_limit_is_refused(caches):
    """A value that is too large is refused with its size and the limit."""
    cache = caches(max_value_bytes=100)
    cache.set("key", "x" * 97)
    with pytest.raises(InvalidArgumentError, match="'key' has 201 bytes as JSON, the limit is 100"):
        cache.set("key", "x" * 198)


def test_values_are_json_and_never_pickled(caches, valkey):
    """On the server stands text that another language reads."""
    caches().scoped("a").set("key", {"plan": "free"})
    with valkey.client() as client:
        assert client.get("hull:a:key") == b'={"plan":"free"}'


def test_a_very_long_key_is_written_as_a_digest(caches, valkey):
    """Keys on the server have a bounded length and still belong to one value each."""
    cache = caches()
    cache.set("k" * 600, 1)
    cache.set("k" * 601, 2)
    assert (cache.get("k" * 600), cache.get("k" * 601)) == (1, 2)
    with valkey.client() as client:
        assert max(len(key) for key in client.scan_iter()) < 100


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("redis://:hunter2@127.0.0.1:port", "is no address"),
        ("redis://127.0.0.1/0?colour=hunter2", "is no address"),
        ("redis:hunter2", "is '\\*\\*\\*'"),
        ("", "write an address such as redis://"),
    ],
)
def test_a_bad_address_is_refused_without_its_secrets(url, text):
    """An address that breaks a rule is refused when it is given, and its password is not repeated."""
    with pytest.raises(InvalidArgumentError, match=text) as caught:
        RedisCache(url)
    assert "hunter2" not in f"{caught.value}"


@pytest.mark.parametrize("option", [{"timeout_s": 0}, {"max_value_bytes": 0}, {"ttl_s": -1}])
def test_limits_that_allow_nothing_are_refused(option):
    """Limits of zero or below are refused when the cache is made."""
    with pytest.raises(InvalidArgumentError, match=r"is (0|-1)"):
        RedisCache("redis://127.0.0.1:1", **option)


def test_an_address_needs_the_extra(monkeypatch):
    """Without redis-py the error names the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "hull-sdk\[redis\]"'):
        RedisCache("redis://127.0.0.1:6379/0")


CALLS = {
    "get": lambda cache: cache.get("key"),
    "set": lambda cache: cache.set("key", 1),
    "add": lambda cache: cache.add("key", 1),
    "replace": lambda cache: cache.replace("key", 1, 2),
    "delete": lambda cache: cache.delete("key"),
    "wrap": lambda cache: cache.wrap("key", lambda: 1),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_refuses_connections_gives_one_clear_error(call):
    """Every call on a server that is down raises the same error, which asks for a retry and shows no password."""
    cache = RedisCache(CLOSED)
    with pytest.raises(NetworkError, match=r"store redis://127\.0\.0\.1:1/0 cannot be used now") as caught:
        CALLS[call](cache)
    assert caught.value.status == 503
    assert "hunter2" not in f"{caught.value}{caught.value!r}{cache!r}"
    assert caught.value.__suppress_context__


def test_a_password_opens_the_store_and_a_wrong_one_is_not_repeated(own_valkey):
    """The address brings the password; a wrong one gives the usual error, which does not show it."""
    server = own_valkey()
    with server.client() as client:
        client.config_set("requirepass", "hunter2")
    right, wrong = (RedisCache(server.url.replace("://", f"://:{word}@")) for word in ("hunter2", "hunter3"))
    right.set("key", 1)
    assert right.get("key") == 1
    with pytest.raises(NetworkError, match="cannot be used now") as caught:
        wrong.get("key")
    assert "hunter" not in f"{caught.value}{right!r}{wrong!r}"
    right.close()
    wrong.close()


def test_a_full_store_asks_for_a_retry(own_valkey):
    """A server that refuses writes because its memory is full gives the error that asks for a retry."""
    server = own_valkey()
    with server.client() as client:
        client.config_set("maxmemory", "1")
    cache = RedisCache(server.url)
    with pytest.raises(NetworkError, match="maxmemory"):
        cache.set("key", 1)
    cache.close()


def test_a_server_that_hangs_is_waited_for_once_and_then_found_again(own_valkey):
    """A server that takes connections and answers nothing costs one time limit; afterwards all goes on."""
    server = own_valkey()
    cache = RedisCache(server.url, timeout_s=0.2)
    cache.set("key", 1)
    server.halt()
    began = time.monotonic()
    with pytest.raises(NetworkError, match="cannot be used now"):
        cache.get("key")
    took = time.monotonic() - began
    server.go_on()
    assert cache.get("key") == 1
    cache.close()
    assert 0.2 <= took < 2


def test_a_server_that_came_back_is_used_again_without_an_error(own_valkey):
    """After a restart the first call opens a new connection, and scripts are sent again."""
    server = own_valkey()
    cache = RedisCache(server.url)
    assert cache.add("key", 1)
    server.kill()
    server.start()
    assert cache.add("key", 2)
    assert cache.get("key") == 2
    cache.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(caches):
    """Parent and child use the cache at the same time without mixing their answers."""
    cache = caches()
    cache.set("key", "parent")
    child = os.fork()
    if child == 0:
        wrong = 0
        for number in range(200):
            cache.set(f"child-{number}", number)
            wrong += cache.get(f"child-{number}") != number
        os._exit(min(wrong, 100))
    seen = {cache.get("key") for _ in range(400)}
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert seen == {"parent"}


names = st.text(st.characters(), max_size=12)


@given(st.lists(names, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=4))
def test_two_paths_never_share_a_key(one, two):
    """Namespaces and keys of any text give different keys on the server when they differ."""
    entries = RedisEntries(RedisStore("redis://127.0.0.1:1"), "hull", 100, Runtime.virtual())
    assert (entries._key(tuple(one)) == entries._key(tuple(two))) == (one == two)


def test_an_announced_fetch_is_no_value(caches):
    """While a fetch is going on, others find nothing and may add a value."""
    one, two = caches(), caches()
    seen = []
    one.wrap("key", lambda: seen.append((two.get("key", "none"), two.add("key", 5))))
    assert seen == [("none", True)]
    assert one._entries.get(("key",)) == Found(5)
