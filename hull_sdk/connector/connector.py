"""The connector: sets up a Flask application so that the platform can work with it."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from flask import Flask
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from hull_sdk.client.exits import exits
from hull_sdk.connector.gunicorn import GunicornWatch
from hull_sdk.connector.health import health_responder
from hull_sdk.connector.processes import worker_processes
from hull_sdk.connector.server import port_of, serve
from hull_sdk.connector.static import MANIFEST_NAME, read_manifest, static_responder
from hull_sdk.connector.worker import JobRunner
from hull_sdk.context import DEFAULT_TIMEOUT_S, Context
from hull_sdk.core.logs import emit
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.flask_app import (
    CHANNELS_KEY,
    JOBS_KEY,
    app_extension,
    find_context,
    install,
    present_request,
    promise_delivery,
    settle_first,
)
from hull_sdk.handlers.endpoint import AnyFunction
from hull_sdk.infra import Cache, Instrumentation, Queue
from hull_sdk.infra.queues import DEFAULT_QUEUE
from hull_sdk.infra.rq_queue import open_queue
from hull_sdk.middleware import (
    DEFAULT_SHUTDOWN_S,
    MIN_SECRET_CHARS,
    Extension,
    checked_client_config,
    checked_instance,
    checked_seconds,
    checked_text,
    host_secrets,
    switches,
    trust_root,
)
from hull_sdk.wire.notifications import MAX_BODY_BYTES

__all__ = ["Connector"]

#: Environment variable with the address of the store that many processes share.
REDIS_VARIABLE: Final = "HULL_REDIS_URL"

_log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[[Context], Any])


class Connector:
    """A connector: its options, and the application that they set up.

    Example::

        app = Flask(__name__)
        app.register_blueprint(smart_notifier_handler({"user:update": on_users}), url_prefix="/smart-notifier")
        Connector(host_secret="a long random text").setup_app(app)

    Nothing is read, opened or started here; ``setup_app`` does that.

    Args:
        host_secret: Encrypts context tokens; a list for rotation, the newest first. ``HULL_HOST_SECRET`` when
            ``None``; without any there are no tokens and no jobs.
        port: Where ``start_app`` listens; ``PORT`` when ``None``, else 8082.
        manifest: The manifest, or the path of its file; ``manifest.json`` beside the application when ``None``.
        connector_name: Stands in logs; the manifest's name with dashes when ``None``.
        client_config: Further options of ``Client``, for example ``{"flush_at": 10}``.
        cache: Where connectors, segments and finished notifications are kept; in memory when ``None``.
        queue: Where jobs go; when ``None`` in memory, or on the store of ``redis_url``.
        instrumentation: Where metrics and unexpected errors go; what the environment configures when ``None``.
        segment_filter_setting: Private setting with the ids of the segments that the connector handles; when
            ``None``, ``synchronized_segments`` for users and ``synchronized_account_segments`` for accounts.
        timeout_s: Deadline of handlers, in seconds.
        shutdown_timeout_s: How long the end takes at most, in seconds: requests under way are finished, batches handed
            over, jobs run and messages sent. A share is kept for each, so of 30 seconds requests get 21.
        allowed_organizations: The trust root: hosts (``"acme.hullapp.io"``) and suffixes (``"*.hullapp.io"``) that
            may be talked to. ``HULL_ALLOWED_ORGANIZATIONS`` (separated by commas) when ``None``, else
            ``["*.hullapp.io"]``.
        skip_signature_validation: ``True`` believes every notification; for tests only.
        accept_unbound_signatures: ``True`` accepts signatures that do not cover the body, as the original platform
            makes them.
        accept_signed_tokens: ``True`` accepts tokens that a connector of the Node generation made with the same
            ``host_secret``, so that webhook addresses given out by it keep working; each use is logged. They can be
            read by whoever has them, so the host secret must be long: give out new addresses where you can.
        redis_url: Address of a Redis or Valkey that many processes share, for example
            ``"redis://127.0.0.1:6379/0"``; ``HULL_REDIS_URL`` when ``None``. Caches, finished notifications, leases and
            the states of ``oauth_handler`` are kept there, and jobs are run by RQ (extra ``queue``) unless ``queue``
            says otherwise; in memory without it. See ``docs/deploying.md``.

    Raises:
        InvalidArgumentError: An option breaks a rule.
    """

    def __init__(
        self,
        host_secret: str | Iterable[str] | None = None,
        *,
        port: int | str | None = None,
        manifest: Mapping[str, Any] | str | Path | None = None,
        connector_name: str | None = None,
        client_config: Mapping[str, Any] | None = None,
        cache: Cache | None = None,
        queue: Queue | None = None,
        instrumentation: Instrumentation | None = None,
        segment_filter_setting: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        shutdown_timeout_s: float = DEFAULT_SHUTDOWN_S,
        allowed_organizations: Iterable[str] | None = None,
        skip_signature_validation: bool = False,
        accept_unbound_signatures: bool = False,
        accept_signed_tokens: bool = False,
        redis_url: str | None = None,
    ) -> None:
        self._host_secret = None if host_secret is None else host_secrets(host_secret)
        self._port = None if port is None else port_of(port)
        self._manifest = checked_instance("manifest", manifest, Mapping | str | Path, "a dict or the path of a file")
        self._client_options = checked_client_config(client_config)
        self._cache = checked_instance("cache", cache, Cache, "a Cache of hull_sdk.infra")
        self._queue = checked_instance("queue", queue, Queue, "a Queue of hull_sdk.infra")
        self._redis_url = redis_url
        self._instrumentation = checked_instance(
            "instrumentation", instrumentation, Instrumentation, "an Instrumentation of hull_sdk.infra"
        )
        self._allowed = None if allowed_organizations is None else trust_root(allowed_organizations, {})
        self._settings: dict[str, Any] = {
            "connector_name": checked_text("connector_name", connector_name),
            "segment_filter_setting": checked_text("segment_filter_setting", segment_filter_setting),
            "timeout_s": checked_seconds("timeout_s", timeout_s),
            **switches(
                skip_signature_validation=skip_signature_validation,
                accept_unbound_signatures=accept_unbound_signatures,
                accept_signed_tokens=accept_signed_tokens,
            ),
        }
        self._shutdown_timeout_s = checked_seconds("shutdown_timeout_s", shutdown_timeout_s)
        self._uses: list[Callable[[Context], Any]] = []
        self._jobs: dict[str, Callable[..., Any]] = {}
        self._all_jobs: Mapping[str, Callable[..., Any]] = self._jobs
        self._extension: Extension | None = None

    def __repr__(self) -> str:
        return f"Connector(connector_name={self._settings['connector_name']!r})"

    def use(self, function: F) -> F:
        """Have a function called with each complete context, before the view; also usable as a decorator.

        Args:
            function: ``f(ctx)``: fills in ``ctx.service``, for example. What it returns, if anything, is the answer
                to the request. Also called for requests without credentials and for jobs.

        Returns:
            The function.

        Raises:
            InvalidArgumentError: It is no function.
        """
        if not callable(function):
            raise InvalidArgumentError(f"use() got {function!r}; pass a function f(ctx)")
        self._uses.append(function)
        return function

    def setup_app(self, app: Flask) -> Flask:
        """Set an application up: credentials, signatures, context, deadlines, answers to errors, manifest.

        Under gunicorn nothing else has to be called.

        Args:
            app: The application. Functions that it registered with ``before_request`` earlier run earlier; its own
                error handlers and after-request functions win. Bodies are read up to its ``MAX_CONTENT_LENGTH``, which
                becomes 40 MiB when it has none; larger ones are answered 413.

        Returns:
            The application.

        Raises:
            InvalidArgumentError: It has been set up before, or the manifest or the environment breaks a rule.
            MissingExtraError: An option needs a library that is not installed.
        """
        root = Path(app.root_path)
        manifest = read_manifest(self._manifest, [root, Path.cwd()])
        extension = self._open(manifest)
        if app.config["MAX_CONTENT_LENGTH"] is None:
            app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        if "gunicorn" in sys.modules:
            app.before_request(GunicornWatch(extension.runtime, extension.shutdown).on_request)
        install(app, extension, _answer_strays(health_responder(extension), static_responder(manifest, root)))
        promise_delivery(app)
        app.before_request(self._use_all)
        self._extension = extension
        # Handlers bring jobs too, also those that are registered later.
        self._all_jobs = ChainMap(self._jobs, app.extensions.setdefault(JOBS_KEY, {}))
        extension.work_on(JobRunner(extension, self._all_jobs).run)
        _warn(extension)
        _doubt(app, manifest)
        return app

    def start_app(self, app: Flask, *, host: str = "0.0.0.0") -> None:  # noqa: S104 - a server is meant to be reached
        """Serve an application until SIGTERM or an interrupt, then finish what has begun within one deadline.

        A second signal stops the waiting for requests, but for 5 seconds for threads at work; one after that ends the
        process at once. The process ends as it would have by the first one.

        Args:
            app: The application, after :meth:`setup_app`.
            host: Address to listen on.

        Raises:
            InvalidArgumentError: The application was not set up, or ``PORT`` is no port.
        """
        extension = app_extension(app)
        port = port_of(os.environ.get("PORT")) if self._port is None else self._port
        stopped_by = serve(app, host=host, port=port, shutdown=extension.shutdown)
        self.close()
        if stopped_by is not None:
            # With the usual handler back in place the process ends as it would have without the server.
            signal.raise_signal(stopped_by)

    def worker(self, jobs: Mapping[str, AnyFunction]) -> None:
        """Say which functions run which jobs.

        Args:
            jobs: ``f(ctx, payload)`` by the name that ``ctx.enqueue`` uses.

        Raises:
            InvalidArgumentError: A value is no function.
        """
        self._jobs.update({name: _checked_job(name, function) for name, function in jobs.items()})

    def start_worker(self, queue_name: str = DEFAULT_QUEUE) -> None:
        """Run the jobs of a queue until SIGTERM; with the queue in memory this process already does, and it returns.

        Args:
            queue_name: Which queue.

        Raises:
            InvalidArgumentError: No application was set up, or no jobs were named.
            NetworkError: The store of the jobs cannot be reached.
        """
        if self._extension is None:
            raise InvalidArgumentError("start_worker needs an application; call setup_app(app) first")
        if not self._all_jobs:
            raise InvalidArgumentError(f"no jobs for the queue {queue_name!r}; call worker({{name: function}}) first")
        self._extension.work_on(JobRunner(self._extension, self._all_jobs).run)
        self._extension.queue.run_worker(queue_name, after_job=exits.flush)

    def close(self, timeout_s: float | None = None) -> None:
        """Hand over what was collected, finish the jobs, send what is queued, and stop; what is left is logged.

        Args:
            timeout_s: Longest wait in seconds; ``shutdown_timeout_s`` when ``None``. When the stop has begun already,
                as after ``start_app``, its deadline counts.
        """
        if self._extension is not None:
            self._extension.shutdown.begin(timeout_s)
            self._extension.shutdown.finish()

    def _open(self, manifest: dict[str, Any] | None) -> Extension:
        settings = dict(self._settings)
        name = settings.pop("connector_name")
        if name is None and manifest is not None and manifest.get("name"):
            name = re.sub(r"[^a-z0-9]+", "-", manifest["name"].lower()).strip("-")
        redis_url = os.environ.get(REDIS_VARIABLE) or None if self._redis_url is None else self._redis_url
        return Extension.open(
            environ=os.environ,
            redis_url=redis_url,
            host_secret=self._host_secret,
            allowed_organizations=self._allowed,
            cache=self._cache,
            queue=open_queue(redis_url) if self._queue is None else self._queue,
            instrumentation=self._instrumentation,
            connector=self,
            uses=self._uses,
            manifest={} if manifest is None else manifest,
            client_options=self._client_options,
            connector_config={**self._settings, "connector_name": name, "port": self._port},
            shutdown_timeout_s=self._shutdown_timeout_s,
            **settings,
        )

    def _use_all(self) -> ResponseReturnValue | None:
        context = find_context()
        if context is None:
            return None
        settle_first()
        context.metric.increment("connector.request")
        for function in self._uses:
            answer: ResponseReturnValue | None = function(context)
            if answer is not None:
                return answer
        return None


def _answer_strays(*responders: Callable[[], ResponseReturnValue | None]) -> Callable[[], ResponseReturnValue | None]:
    """Return a function that answers requests to read which lead to no view: the first that has an answer gives it."""

    def answer() -> ResponseReturnValue | None:
        present = present_request()
        if not isinstance(present.routing_exception, NotFound) or present.method not in {"GET", "HEAD"}:
            return None
        answers = (respond() for respond in responders)
        return next((each for each in answers if each is not None), None)

    return answer


def _warn(extension: Extension) -> None:
    if extension.skip_signature_validation:
        emit(
            _log,
            logging.WARNING,
            "connector.signatures.off",
            {"reason": "skip_signature_validation is on: anybody who reaches this connector can forge notifications"},
        )
    if extension.tokens.can_be_guessed:
        emit(
            _log,
            logging.WARNING,
            "connector.host_secret.short",
            {
                "reason": f"host_secret has less than {MIN_SECRET_CHARS} characters, so whoever has a link with a "
                "token can guess it; set a long random text, for example of `openssl rand -hex 32`, and keep the old "
                "one behind it in a list for as long as links with its tokens are about"
            },
        )
    workers = worker_processes(os.environ, sys.argv)
    if workers > 1 and not extension.runs.shared:
        emit(
            _log,
            logging.WARNING,
            "connector.cache.unshared",
            {
                "workers": workers,
                "reason": "each worker process has a cache of its own, so a notification that is delivered twice may "
                "be handled twice; set redis_url (or HULL_REDIS_URL), or run one process with several threads",
            },
        )


def _doubt(app: Flask, manifest: dict[str, Any] | None) -> None:
    if manifest is None and any(rule.rule == f"/{MANIFEST_NAME}" for rule in app.url_map.iter_rules()):
        return
    from hull_sdk.connector.doubts import manifest_doubts  # noqa: PLC0415 - with the schemas of manifests, as in static

    for event, reason in manifest_doubts(manifest, app.extensions.get(CHANNELS_KEY)).items():
        emit(_log, logging.WARNING, event, {"reason": reason})


def _checked_job(name: str, function: Any) -> Callable[..., Any]:
    if not callable(function):
        raise InvalidArgumentError(f"the job {name!r} is {function!r}; pass a function f(ctx, payload)")
    checked: Callable[..., Any] = function
    return checked
