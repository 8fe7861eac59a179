"""A background step of a client, on whatever work its runtime has at the moment."""

from __future__ import annotations

from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock, Step, Tasks, Worker

__all__ = ["Stepper"]


class Stepper:
    """Keeps the worker of one step, and makes another when the runtime was given other work to do.

    Args:
        step: What to call; see :data:`hull_sdk.core.tasks.Step`.
        name: Of its thread.
        runtime: Whose work it is.
        lock: Guards the worker; never held while the step runs.
    """

    def __init__(self, step: Step, name: str, runtime: Runtime, lock: Lock) -> None:
        self._step = step
        self._name = name
        self._runtime = runtime
        self._lock = lock
        self._worker: Worker | None = None
        self._tasks: Tasks | None = None

    def wake(self) -> bool:
        """Have the step called soon; the lock is not held.

        Returns:
            ``False`` when no thread can be started for it, as while the interpreter ends.
        """
        worker = self._current()
        try:
            worker.wake()
        except RuntimeError:
            return False
        return True

    def stop(self) -> None:
        """End the thread, if there is one."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()

    def _current(self) -> Worker:
        tasks = self._runtime.tasks
        with self._lock:  # of two callers at once, one makes it
            worker, old = self._worker, None
            if worker is None or self._tasks is not tasks:
                old, worker = worker, tasks.worker(self._step, name=self._name)
                self._worker, self._tasks = worker, tasks
        if old is not None:
            old.stop()
        return worker
