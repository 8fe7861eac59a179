"""A real process under test: its output is read while it runs, and it ends with the test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

from secrets_watch import WATCH

#: Seconds that a process may take to say what is expected of it, or to end.
PATIENCE_S = 60.0

#: What gunicorn says when it takes connections, with its address.
GUNICORN_LISTENS = r"Listening at: (http://[\d.]+:\d+)"
#: The line with which ``hull platform`` says that it is ready, as JSON.
PLATFORM_READY = r'^\{.*"platform\.ready".*'

#: Variables of the run itself, which must not reach the process under test.
_OWN_VARIABLES = ("HULL_", "PYTEST_")


class RunningProcess:
    """A process whose lines of output can be waited for.

    Args:
        command: Program and arguments; ``"python"`` stands for the interpreter of the tests, and a program that lies
            beside it, such as ``"hull"``, is found there.
        env: Variables over those of the tests.
        cwd: Where it runs.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
        self.command = _resolve(command)
        self.process = subprocess.Popen(
            self.command,
            env={**inherited, "PYTHONUNBUFFERED": "1", **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._lines: Queue[str] = Queue()
        self._readers = [
            self._start_reader(stream, lines)
            for stream, lines in ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr))
        ]

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of the next line, of either stream, in which the pattern is found.

        Raises:
            AssertionError: No such line came in time; the message holds all that was said.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                line = self._lines.get(timeout=min(0.2, max(0.0, deadline - time.monotonic())))
            except Empty:
                ended = self.process.poll() is not None and self._lines.empty()
                if ended or time.monotonic() > deadline:
                    raise AssertionError(f"{pattern!r} was never said by {self.describe()}") from None
                continue
            match = re.search(pattern, line)
            if match is not None:
                return match

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, unless it has ended already, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end, and return the exit code; a process that does not end is killed and fails the test."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end: {self.describe()}") from None
        finally:
            self._close()
        return code

    def describe(self) -> str:
        """Return command, state and output, for failures."""
        said = "".join([*self.stdout[-40:], *self.stderr[-40:]])
        return f"{' '.join(self.command)} (exit code {self.process.poll()}), which said:\n{said}"

    def _start_reader(self, stream: IO[str], lines: list[str]) -> Thread:
        def read() -> None:
            for line in stream:
                lines.append(line)
                self._lines.put(line)

        thread = Thread(target=read, name="test-reader", daemon=True)
        thread.start()
        return thread

    def _close(self) -> None:
        for thread in self._readers:
            thread.join(PATIENCE_S)
        WATCH.saw_output([*self.stdout, *self.stderr])
        if any(thread.is_alive() for thread in self._readers):
            # Closing would wait for the reader, which waits for whatever holds the other end.
            raise AssertionError(f"something that it started outlives it: {self.describe()}")
        self.process.stdout.close()
        self.process.stderr.close()


def _resolve(command: Sequence[str]) -> list[str]:
    program, *arguments = command
    if program == "python":
        return [sys.executable, *arguments]
    beside = Path(sys.executable).parent / program
    return [str(beside) if beside.exists() else program, *arguments]
