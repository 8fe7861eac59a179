"""Jobs: the context of a job is built again from the encrypted token that was stored with it.

With the queue in memory jobs run in the process that took them, so no separate worker process is needed. With RQ they
run in processes forked from the one that called ``Connector.start_worker``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hull_sdk.context import Context
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers.background import complete_context
from hull_sdk.handlers.endpoint import call
from hull_sdk.infra import Job
from hull_sdk.infra.queues import GivenUpError
from hull_sdk.middleware import Extension, settle
from hull_sdk.outcomes import judge, report

__all__ = ["JobRunner"]

#: How long a job may take, in seconds, for those who ask ``ctx.remaining_s()``.
JOB_TIMEOUT_S: Final = 3600.0

#: How long a job waits until what it sent is accepted, in seconds.
JOB_SETTLE_S: Final = 300.0

JobFunction = Callable[..., Any]


class JobRunner:
    """Runs stored jobs with a context of their own.

    Args:
        extension: What the application shares.
        jobs: Functions by name, looked up as jobs come: ``Connector.worker`` and handlers may add some later.
    """

    def __init__(self, extension: Extension, jobs: Mapping[str, JobFunction]) -> None:
        self._extension = extension
        self._jobs = jobs

    def run(self, job: Job) -> None:
        """Run one job; it succeeds once what it sent has been accepted.

        Args:
            job: What the queue hands out.

        Raises:
            InvalidArgumentError: Nobody knows the job's name.
            GivenUpError: The function raised what no further try can mend, for example a ``LogicError``.
            TransientError: Something was not accepted in time.
            Exception: Whatever the function raised; the queue tries again.
        """
        extension = self._extension
        context = Context(
            extension,
            request_id=job.context.get("request_id"),
            hostname=job.context.get("hostname", ""),
            attempt=job.attempt,
            timeout_s=JOB_TIMEOUT_S,
        )
        metric = context.metric
        metric.increment(f"ship.job.{job.name}.start")
        try:
            self._run(job, context)
        except Exception as err:
            metric.increment(f"ship.job.{job.name}.error")
            verdict = judge(err)
            report(err, verdict, extension.instrumentation, context)
            if verdict.outcome.message == "error":
                raise GivenUpError(verdict.reason) from err
            raise

    def _run(self, job: Job, context: Context) -> None:
        function = self._jobs.get(job.name)
        if function is None:
            known = ", ".join(sorted(self._jobs)) or "none"
            raise InvalidArgumentError(f"Job not found: {job.name!r}; Connector.worker knows: {known}")
        with context.active():
            self._complete(job, context)
            call(function, context, job.payload)
            if not self._extension.shutdown.ending:
                settle(context, JOB_SETTLE_S)

    def _complete(self, job: Job, context: Context) -> None:
        config = self._extension.tokens.decrypt(job.context.get("token", ""), ("job",))
        complete_context(self._extension, context, config)
