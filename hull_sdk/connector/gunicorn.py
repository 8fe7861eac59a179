"""gunicorn, as far as it ends its workers: when one was told to stop, and how long it has until it is killed.

gunicorn tells an application of a stop only when its requests are over. What it has told the worker itself is seen
earlier: the worker's handler of SIGTERM is a method of the object that serves, and that object knows. It is only read,
so no hook in gunicorn's configuration is needed, and the application may have been loaded before the workers were
forked.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Callable
from typing import Any, Final

from hull_sdk.core.forks import watch_forks
from hull_sdk.core.logs import emit
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.middleware.shutdown import Shutdown

__all__ = ["GunicornWatch"]

#: How often the worker is looked at, in seconds.
LOOK_S: Final = 0.25
#: What is left between the end of our work and gunicorn's kill, in seconds; of a short patience, a quarter.
MARGIN_S: Final = 1.0

_log = logging.getLogger(__name__)


class GunicornWatch:
    """Has the deadline of a stop begin when gunicorn tells its worker to stop, be it by SIGTERM or ``--max-requests``.

    Args:
        runtime: Clock and tasks.
        shutdown: Begins then, and is not left more time than gunicorn leaves the worker.
        find_worker: Returns gunicorn's worker in this process, ``None`` when there is none; for tests.
    """

    def __init__(self, runtime: Runtime, shutdown: Shutdown, find_worker: Callable[[], Any] | None = None) -> None:
        self._runtime = runtime
        self._shutdown = shutdown
        self._find_worker = _present_worker if find_worker is None else find_worker
        shutdown.server = self
        self.after_fork()
        watch_forks(self)

    def after_fork(self) -> None:
        """Look again who serves in a child process."""
        self._lock = Lock()
        self._watching = False
        #: The file whose time is the worker's last sign of life.
        self.heartbeat: int | None = None

    def on_request(self) -> None:
        """Begin to look, with the first request of a process: before that there is nothing to finish."""
        if self._watching:
            return
        with self._lock:
            first, self._watching = not self._watching, True
        worker = self._find_worker() if first else None
        if worker is not None:
            # A copy: gunicorn closes its own before the end of the process.
            self.heartbeat = os.dup(worker.tmp.fileno())
            self._runtime.tasks.worker(self._look, name="hull-gunicorn", background=True).wake()

    def patience_s(self) -> float:
        """Return how long a worker that is told to stop now has until it is killed, in seconds."""
        worker = self._find_worker()
        return math.inf if worker is None else _less_margin(worker.cfg.graceful_timeout)

    def last_patience_s(self) -> float:
        """Tell gunicorn that the worker is at its end, and not hung; return how long it has now, in seconds.

        A worker that is replaced has no time limit but this: the one without any sign of life.
        """
        worker = self._find_worker()
        if worker is None or self.heartbeat is None or not worker.cfg.timeout:
            return math.inf
        now = self._runtime.clock.monotonic()
        os.utime(self.heartbeat, (now, now))
        return _less_margin(worker.cfg.timeout)

    def _look(self) -> float | None:
        worker = self._find_worker()
        if worker is None or worker.alive:
            return LOOK_S
        if not self._shutdown.begun:
            self._shutdown.begin()
            left_s = round(self._shutdown.left_s("senders"), 3)
            emit(_log, logging.INFO, "connector.server.stopping", {"timeout_s": left_s})
        left = self._shutdown.left_s("requests")
        if left > 0.0:
            return left
        self._shutdown.finish_early()
        return None


def _present_worker() -> Any:
    worker: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    served = any(kind.__module__.startswith("gunicorn.workers.") for kind in type(worker).__mro__)
    return worker if served and worker.pid == os.getpid() else None


def _less_margin(limit_s: float) -> float:
    return limit_s - min(MARGIN_S, limit_s / 4)
