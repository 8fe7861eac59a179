"""Watches every test for secrets outside their lawful places, with all logs at the debug level.

What passes the doors of the package as a secret is planted: secrets that it makes up, those of clients, connectors,
organizations and hosts, and settings with a secret's name. After each test everything that was logged, raised, printed,
measured, reported, shown, stored or called is searched for what was planted, and for tokens by their form. A find fails
the test.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import wraps
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from hull_sdk.core.masking import is_secret_name

__all__ = ["LAWFUL", "WATCH", "SecretsPlugin", "Watch"]

LAWFUL = (
    "the header Hull-Access-Token, the body of a notification, queries that the platform makes (in no log), "
    "the line platform.ready, and the answer that creates a connector"
)
#: Shorter texts are found by accident.
LEAST_LENGTH = 8
#: A signed token, or an encrypted one.
TOKEN = re.compile(r"(?<![A-Za-z0-9])(?:eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]{8,}|gAAAA[\w-]{60,})")
#: Encrypted tokens are made for these.
TOKENS_MAY_STAND = ("address", "page", "store", "stored job")
READY = '"platform.ready"'
AROUND = 120
OBJECTS_OF_A_TEST = 300
#: So many texts of a place are kept; of a test with more, they are searched while it runs.
TEXTS_OF_A_PLACE = 5_000


class Watch:
    """What was planted, and what was seen, by place."""

    def __init__(self) -> None:
        self.lasting: set[str] = set()
        self.planted: set[str] = set()
        self.seen: dict[str, list[str]] = defaultdict(list)
        self.objects: list[weakref.ref[Any]] = []
        self.found: dict[str, list[str]] = defaultdict(list)
        #: Whether what is planted serves more than one test.
        self.for_many = False

    def plant(self, secret: Any) -> None:
        """Take a secret that passes a door; several at once too."""
        if isinstance(secret, str):
            if len(secret) >= LEAST_LENGTH:
                (self.lasting if self.for_many else self.planted).add(secret)
        elif isinstance(secret, Iterable) and not isinstance(secret, bytes):
            for each in secret:
                self.plant(each)

    def plant_named(self, values: Any) -> None:
        """Take what stands under the name of a secret, for example in settings."""
        for name, value in values.items() if isinstance(values, Mapping) else enumerate(values):
            if isinstance(value, Mapping | list):
                self.plant_named(value)
            elif is_secret_name(str(name)):
                self.plant(value)

    def saw(self, place: str, text: Any) -> None:
        """Take what came to light at a place."""
        texts = self.seen[place]
        texts.append(text if isinstance(text, str) else str(text))
        if len(texts) == TEXTS_OF_A_PLACE:
            self.found[place] += self._search(place)
            texts.clear()

    def saw_output(self, lines: Iterable[str]) -> None:
        """Take what a process said; the ready line of a platform may name secrets, and plants them."""
        for line in lines:
            if READY in line:
                self.plant_named(json.loads(line))
            else:
                self.saw("output", line)

    def keep(self, thing: Any) -> None:
        """Take an object whose text form is searched: after the test if it can be kept that long, else now."""
        try:
            self.objects.append(weakref.ref(thing))
        except TypeError:
            self.saw("repr", repr(thing))

    def begin(self) -> None:
        """Forget the last test."""
        self.planted, self.objects = set(), []
        self.seen, self.found = defaultdict(list), defaultdict(list)

    def finds(self, but_for: Iterable[str] = ()) -> list[str]:
        """Return a line for each secret that was seen at a place.

        Args:
            but_for: Places that are not looked at.
        """
        for thing in filter(None, (reference() for reference in self.objects[-OBJECTS_OF_A_TEST:])):
            self.saw("repr", repr(thing))
        searched = ((place, [*self.found[place], *self._search(place)]) for place in tuple(self.seen))
        return [find for place, finds in searched if place not in but_for for find in finds]

    def _search(self, place: str) -> Iterator[str]:
        forms = {form: secret for secret in self.planted | self.lasting for form in _forms(secret)}
        return _search(place, "\n".join(self.seen[place]), forms)


#: The watch of this run; doubles of other services tell it what they are sent.
WATCH = Watch()


class SecretsPlugin(logging.Handler):
    """Sets the watch up, and asks it after each test."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        set_up(WATCH)

    def emit(self, record: logging.LogRecord) -> None:
        """Take what any formatter would write of a record."""
        said = [record.getMessage(), str(getattr(record, "hull", ""))]
        if record.exc_info:
            said.append(record.exc_text or logging.Formatter().formatException(record.exc_info))
        WATCH.saw("log", " ".join(said))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """Keep what is planted for more than one test."""
        before, WATCH.for_many = WATCH.for_many, fixturedef.scope != "function"
        try:
            return (yield)
        finally:
            WATCH.for_many = before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Log everything while a test runs."""
        root, own = logging.getLogger(), logging.getLogger("hull_sdk")
        levels = root.level, own.level
        WATCH.begin()
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        try:
            return (yield)
        finally:
            root.removeHandler(self)
            root.setLevel(levels[0])
            own.setLevel(levels[1])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Fail a test after which secrets are found."""
        report = yield
        for name, text in report.sections:
            if "log" not in name:
                WATCH.saw("output", text)
        if report.when == "teardown" and report.passed:
            allowed = item.get_closest_marker("shows_secrets")
            finds = WATCH.finds(but_for=() if allowed is None else allowed.args)
            if finds:
                report.outcome = "failed"
                report.longrepr = "\n".join([*finds, f"secrets belong into {LAWFUL}"])
        return report


def set_up(watch: Watch) -> None:
    """Stand at the doors through which secrets come, and at the places where they must not be seen."""
    _watch_doors(watch)
    _watch_errors(watch)
    _watch_network(watch)
    _watch_pages(watch)
    _watch_reports(watch)
    _watch_objects(watch)
    _watch_processes(watch)


def _watch_doors(watch: Watch) -> None:
    from hull_sdk.client.config import ClientConfig
    from hull_sdk.core.ids import SeededIds, SystemIds
    from hull_sdk.handlers.oauth_client import OAuthClient
    from hull_sdk.middleware.tokens import ContextTokens
    from hull_sdk.platform.connectors import Connector
    from hull_sdk.platform.intake import Intake

    for ids in (SeededIds, SystemIds):
        after(ids, "secret", lambda made, *_a, **_k: watch.plant(made))
    after(ClientConfig, "__post_init__", lambda _r, config: watch.plant(config.secret))
    after(ContextTokens, "__init__", lambda _r, _self, secrets, *_a, **_k: watch.plant(secrets))
    after(OAuthClient, "__init__", lambda _r, *_a, client_secret=None, **_k: watch.plant(client_secret))
    after(Intake, "__init__", lambda _r, intake, *_a, **_k: watch.plant(intake.admin_secret))
    after(Connector, "__init__", lambda _r, _self, *_a, **k: watch.plant(k.get("secret")))
    after(Connector, "check_settings", lambda _r, connector, *_a: watch.plant_named(connector.private_settings))


def _watch_errors(watch: Watch) -> None:
    from hull_sdk.errors import HullError

    def told(_result: Any, error: BaseException, *_args: Any, **_kwargs: Any) -> None:
        watch.saw("error", str(error))

    def raised(_result: Any, _info: Any, exc_info: Any) -> None:
        error: BaseException | None = exc_info[1]
        while error is not None:
            watch.saw("error", f"{error!r} {error}")
            error = error.__cause__ or error.__context__

    after(HullError, "__init__", told)
    after(pytest.ExceptionInfo, "fill_unfilled", raised)
    after(pytest.CaptureFixture, "readouterr", lambda said, *_a: watch.saw("output", f"{said.out} {said.err}"))


def _watch_network(watch: Watch) -> None:
    from hull_sdk.core.net import HttpNetwork, WsgiNetwork

    def called(_result: Any, _self: Any, request: Any) -> None:
        if not _is_of_the_platform(request.url):
            watch.saw("address", request.url)

    for network in (HttpNetwork, WsgiNetwork):
        before(network, "send", called)
    before(HttpNetwork, "stream", called)


def _watch_pages(watch: Watch) -> None:
    from flask import Flask

    def answered(response: Any, app: Any, *_args: Any) -> None:
        shown = response.mimetype == "text/html" or ("hull" in app.extensions and response.status_code >= 400)
        if shown and not (response.is_streamed or response.direct_passthrough):
            watch.saw("page", response.get_data().decode(errors="replace"))
        watch.saw("address", response.headers.get("Location", ""))

    after(Flask, "process_response", answered)


def _watch_reports(watch: Watch) -> None:
    from datadog.dogstatsd import DogStatsd

    from hull_sdk.infra import queues, rq_queue, sentry
    from hull_sdk.infra.instrumentation import RecordingInstrumentation

    after(sentry, "_masked", lambda event, *_a: watch.saw("Sentry", event))
    before(DogStatsd, "_send_to_server", lambda _r, _self, packet, *_a, **_k: watch.saw("metric", packet))
    before(RecordingInstrumentation, "record", lambda _r, _self, record: watch.saw("metric", _told(record)))
    for module in (queues, rq_queue):
        after(module, "encode_job", lambda data, *_a, **_k: watch.saw("stored job", data.decode()))


def _watch_objects(watch: Watch) -> None:
    from hull_sdk import Client, Connector, Context, Middleware
    from hull_sdk.middleware.base import Extension
    from hull_sdk.platform import Organization, Platform
    from hull_sdk.platform.connectors import Connector as Installed
    from hull_sdk.service import ServiceSession
    from hull_sdk.testing import Harness

    for kind in (
        Client,
        Connector,
        Context,
        Extension,
        Harness,
        Installed,
        Middleware,
        Organization,
        Platform,
        ServiceSession,
    ):
        after(kind, "__init__", lambda _r, thing, *_a, **_k: watch.keep(thing))


def _watch_processes(watch: Watch) -> None:
    def said(streams: tuple[Any, Any], *_args: Any, **_kwargs: Any) -> None:
        texts = [each.decode(errors="replace") if isinstance(each, bytes) else each for each in streams if each]
        watch.saw_output(line for text in texts for line in text.splitlines())

    before(subprocess.Popen, "__init__", lambda _r, *_a, env=None, **_k: watch.plant_named(env or {}))
    after(subprocess.Popen, "communicate", said)


def after(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Have a function of a class or module tell what it returned and was given."""
    function = vars(owner)[name]

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        tell(result, *args, **kwargs)
        return result

    setattr(owner, name, told)


def before(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Have a function tell what it is given, before it begins."""
    function = vars(owner)[name]

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        tell(None, *args, **kwargs)
        return function(*args, **kwargs)

    setattr(owner, name, told)


def _told(record: Any) -> str:
    """Return what a backend would send of a record; the local variables of an error are never sent."""
    return str([getattr(record, field.name) for field in fields(record) if field.name != "error"])


def _is_of_the_platform(url: str) -> bool:
    """Tell whether a request is one of the platform's, which names a connector's credentials in its query."""
    return {"ship", "organization", "secret"} <= set(parse_qs(url.partition("?")[2]))


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, errors="replace"), quote(secret, safe="", errors="replace"), json.dumps(secret)[1:-1]}


def _search(place: str, text: str, forms: Mapping[str, str]) -> Iterator[str]:
    for form in forms:
        at = text.find(form)
        if at >= 0:
            yield f"a secret ({form[:3]}...) stands in {place}: {text[max(0, at - AROUND) : at + AROUND]!r}"
    token = None if place in TOKENS_MAY_STAND else TOKEN.search(text)
    if token is not None:
        yield f"a token stands in {place}: {text[max(0, token.start() - AROUND) : token.end()]!r}"
