"""What all tests share: deterministic examples, and checks that no test leaves anything behind."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, settings
from running_process import RunningProcess
from secrets_watch import SecretsPlugin
from trials import TrialsPlugin

from hull_sdk.wire.signatures import generate_key

if TYPE_CHECKING:
    from connector_world import World
    from valkey_server import ValkeyServer

    from hull_sdk.platform import Platform

#: How long a thread that was told to stop may take.
THREAD_PATIENCE_S = 5.0
WATCHED_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_COMMON = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", derandomize=True, max_examples=100, **_COMMON)
settings.register_profile("nightly", derandomize=False, max_examples=5_000, **_COMMON)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the simulation."""
    group = parser.getgroup("simulation")
    group.addoption("--seeds", type=int, default=200, help="how many scenarios tests/simulation plays (200)")
    group.addoption("--seed", type=int, default=None, help="the one scenario that tests/simulation plays")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the whole run, also what other folders test."""
    config.pluginmanager.register(TrialsPlugin(), "trials")
    config.pluginmanager.register(SecretsPlugin(), "secrets")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Run in a shell's background; what the tests start would ignore interrupts, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Let the collector pass over what is there for the whole run, thousands of tests and all modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def signing_key() -> RSAPrivateKey:
    """One key of the platform for the whole run, since making one is slow."""
    return generate_key()


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test that leaves one of the package's own threads running."""
    before = set(threading.enumerate())
    yield
    left = _own_threads(before)
    deadline = time.monotonic() + THREAD_PATIENCE_S
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    names = sorted(thread.name for thread in _own_threads(before))
    if names:
        pytest.fail(f"threads left running: {', '.join(names)}; close what started them")


@pytest.fixture(autouse=True)
def no_leaked_contexts() -> Iterator[None]:
    """Fail a test that leaves a request's or an application's context pushed."""
    yield
    flask = sys.modules.get("flask")
    if flask is not None and (flask.has_request_context() or flask.has_app_context()):
        pytest.fail("a Flask context is still pushed; leave it with a with statement")


@pytest.fixture(autouse=True)
def no_leaked_signal_handlers() -> Iterator[None]:
    """Fail a test that leaves a signal handler installed."""
    before = {number: signal.getsignal(number) for number in WATCHED_SIGNALS}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
            pytest.fail(f"the handler of {number.name} was changed; put the old one back")


@pytest.fixture
def world(signing_key: RSAPrivateKey) -> Iterator[World]:
    """Return what a connector application needs around it, on a virtual clock."""
    from connector_world import World

    world = World(signing_key)
    yield world
    world.close()


@pytest.fixture
def serve_platform() -> Iterator[Callable[[RSAPrivateKey], Platform]]:
    """Return a function that serves a platform with a signing key on a free loopback port, until the test ends."""
    from hull_sdk.platform import Platform
    from hull_sdk.platform.server import serve

    with ExitStack() as stack:

        def start(key: RSAPrivateKey) -> Platform:
            platform = Platform(signing_key=key)
            stack.callback(platform.runtime.net.close)
            stack.callback(serve(platform, host="127.0.0.1", port=0).close)
            stack.callback(platform.close)
            return platform

        yield start


@pytest.fixture
def served_platform(serve_platform: Callable[[RSAPrivateKey], Platform], signing_key: RSAPrivateKey) -> Platform:
    """A platform that answers on a free loopback port; its ``address`` is ``"127.0.0.1:PORT"``."""
    return serve_platform(signing_key)


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[ValkeyServer]:
    """One Valkey for the whole run; ``valkey`` is the same, empty at the start of each test."""
    from valkey_server import ValkeyServer

    server = ValkeyServer()
    yield server
    server.close()


@pytest.fixture
def valkey(shared_valkey: ValkeyServer) -> Iterator[ValkeyServer]:
    """A real Valkey without any keys."""
    with shared_valkey.client() as client:
        client.flushall()
    yield shared_valkey
    shared_valkey.show()


@pytest.fixture
def own_valkey() -> Iterator[Callable[..., ValkeyServer]]:
    """Return a function that starts a Valkey for this test alone, which may kill and halt it."""
    from valkey_server import ValkeyServer

    with ExitStack() as stack:

        def start(**options: Any) -> ValkeyServer:
            server = ValkeyServer(**options)
            stack.callback(server.close)
            stack.callback(server.show)
            return server

        yield start


@pytest.fixture
def start_process() -> Iterator[Callable[..., RunningProcess]]:
    """Return a function that starts a process, as ``RunningProcess`` does; it ends with the test."""
    started: list[RunningProcess] = []

    def start(*args: Any, **kwargs: Any) -> RunningProcess:
        started.append(RunningProcess(*args, **kwargs))
        return started[-1]

    yield start
    for process in reversed(started):
        process.stop()


def _own_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("hull-")]
