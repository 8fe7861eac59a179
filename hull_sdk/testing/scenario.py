"""Scenarios that state everything: what came in, and all that a connector did about it, in a file beside the test.

Nothing is overlooked because nobody thought of asserting it: a message, call, log line or metric that the file does not
state fails the test, as does one that it states and that does not happen.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hull_sdk.core import json
from hull_sdk.core.net import Exchange, host_of
from hull_sdk.infra.instrumentation import connector_tags
from hull_sdk.testing.addresses import CONNECTOR_HOST
from hull_sdk.testing.ids import RememberedIds
from hull_sdk.testing.transcript import (
    Naming,
    api_call,
    event_line,
    firehose_line,
    incoming,
    log_line,
    metric_line,
    outgoing,
    pretty,
)

if TYPE_CHECKING:
    from hull_sdk.testing.harness import Harness

__all__ = ["Scenario"]

_PLATFORM_LOGGERS = "hull_sdk.platform"
_KEYS_PATH = "/notification_keys/"
_WAY_OUT = "if what happened is right, have pytest --update-scenarios write it"


class Scenario:
    """Compares all that happens within a ``with`` block with a file.

    Example::

        with Scenario(harness, "scenarios/signup.json"):
            harness.request("/webhook", body={"email": "ann@acme.example"})

    At the end of the block everything under way happens first, as in ``Harness.run_until_idle``. The file is JSON:
    ``incoming`` (requests and notifications with their answers), ``firehose``, ``api`` (calls to the platform's API),
    ``outgoing`` (calls to third parties), ``logs``, ``metrics`` and ``metric_events``; what did not happen is absent.
    In pytest the fixture ``hull_scenario`` chooses the file.

    Args:
        harness: What is watched.
        path: The file.
        update: ``True`` writes the file instead of comparing.
        settle: ``False`` compares what has happened by the end of the block, and leaves the rest under way.

    Raises:
        AssertionError: On leaving the block: something happened that the file does not state, or the other way round;
            the message shows the difference. Or there is no file, or it is no JSON.
    """

    def __init__(self, harness: Harness, path: str | Path, *, update: bool = False, settle: bool = True) -> None:
        self._harness = harness
        self._path = Path(path)
        self._update = update
        self._settle = settle
        self._before: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._before = {name: len(records) for name, records in self._records().items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if error is not None:
            return
        if self._settle:
            self._harness.run_until_idle()
        text = f"{pretty(self.happened())}\n"
        if self._update:
            self._write(text)
        else:
            self._compare(text)

    def happened(self) -> dict[str, Any]:
        """Return what has happened since the block began, as the file would state it."""
        harness = self._harness
        new = {name: records[self._before.get(name, 0) :] for name, records in self._records().items()}
        common = connector_tags(
            harness.connector.manifest or {}, harness.organization.host, harness.connector.id, "test"
        )
        told: dict[str, list[Any]] = {
            "incoming": [incoming(each) for each in new["exchanges"] if _is_incoming(each)],
            "firehose": [firehose_line(each) for each in new["firehose"]],
            "api": [api_call(each) for each in new["exchanges"] if self._is_api_call(each)],
            "outgoing": [outgoing(each) for each in new["outgoing"]],
            "logs": [log_line(each) for each in new["logs"] if not each["logger"].startswith(_PLATFORM_LOGGERS)],
            "metrics": [metric_line(each, common) for each in new["metrics"]],
            "metric_events": [event_line(each, common) for each in new["metric_events"]],
        }
        naming = self._naming(told["incoming"])
        return {name: naming.apply(part) for name, part in told.items() if part}

    def _records(self) -> dict[str, list[Any]]:
        names = ("exchanges", "firehose", "outgoing", "logs", "metrics", "metric_events")
        return {name: getattr(self._harness, name) for name in names}

    def _is_api_call(self, exchange: Exchange) -> bool:
        url = exchange.request.url
        firehose_url = self._harness.client.configuration()["firehose_url"]
        at_platform = host_of(url) in self._harness.platform_hosts
        return at_platform and url.rstrip("/") != firehose_url.rstrip("/") and _KEYS_PATH not in url

    def _naming(self, heard: list[dict[str, Any]]) -> Naming:
        connector = self._harness.connector
        messages = [message for each in heard for message in each.get("messages") or ()]
        names = {connector.id: "<connector>", connector.secret: "<secret>"}
        names |= {each["message_id"]: f"<message {number}>" for number, each in enumerate(messages, 1)}
        ids = self._harness.platform.runtime.ids
        return Naming(names, ids.has_made if isinstance(ids, RememberedIds) else lambda _: False)

    def _write(self, text: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(text, encoding="utf-8")

    def _compare(self, text: str) -> None:
        __tracebackhide__ = True
        try:
            stated = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            raise AssertionError(f"there is no {self._path}; {_WAY_OUT}. This happened:\n{text}") from None
        except ValueError as err:
            raise AssertionError(f"{self._path} is no JSON: {err}; {_WAY_OUT}") from err
        if stated != json.loads(text):
            raise AssertionError(f"{self._path} states something else; {_WAY_OUT}.\n{_difference(stated, text)}")


def _is_incoming(exchange: Exchange) -> bool:
    return host_of(exchange.request.url) == CONNECTOR_HOST


def _difference(stated: Mapping[str, Any], happened: str) -> str:
    lines = difflib.unified_diff(
        pretty(stated).splitlines(), happened.splitlines(), "stated", "happened", lineterm="", n=3
    )
    return "\n".join(lines)
