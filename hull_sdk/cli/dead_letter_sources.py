"""Where ``hull deadletters`` finds what was given up: a platform's messages and a queue's jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from hull_sdk.core import json
from hull_sdk.core.masking import mask, mask_text, mask_url
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.errors import ApiError, InvalidArgumentError, NetworkError
from hull_sdk.infra.failed_jobs import FailedJobs

__all__ = ["Jobs", "Messages", "Source"]

_TIMEOUT_S: Final = 30.0
_MAX_BYTES: Final = 256 * 1024 * 1024


class Source(Protocol):
    """Where dead letters are; each is a dict with ``id``, ``at`` and ``reason``."""

    def summaries(self, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Return at most so many, the oldest first, and how many there are."""
        ...

    def show(self, letter_id: str) -> dict[str, Any]:
        """Return one with all that is known of it, secrets masked."""
        ...

    def redrive(self, ids: Iterable[str] | None) -> int:
        """Give some, or all, another try and return how many those were."""
        ...

    def close(self) -> None:
        """Close what is open."""


class Messages:
    """Messages that a connector refused, on its platform.

    Args:
        url: Where the platform is, without a slash at the end.
        connector_id: Whose messages.
        headers: Credentials.
    """

    def __init__(self, url: str, connector_id: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._path = f"{url}/api/v1/{quote(connector_id, safe='')}/dead_letters"
        self._headers = dict(headers)
        self._network = HttpNetwork()

    def summaries(self, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Return at most so many, the oldest first, and how many there are."""
        found = self._all()
        return [_summary(each) for each in found[:limit]], len(found)

    def show(self, letter_id: str) -> dict[str, Any]:
        """Return one with its message."""
        for each in self._all():
            if each["id"] == letter_id:
                shown: dict[str, Any] = mask(each)
                return shown
        raise InvalidArgumentError(f"{letter_id!r} is no dead letter of this connector; see `hull deadletters list`")

    def redrive(self, ids: Iterable[str] | None) -> int:
        """Have messages delivered again."""
        answer = self._ask("POST", "/redrive", {} if ids is None else {"ids": list(ids)})
        count = answer.get("redriven") if isinstance(answer, dict) else None
        if not isinstance(count, int):
            raise self._strange()
        return count

    def close(self) -> None:
        """Close the connections."""
        self._network.close()

    def _all(self) -> list[dict[str, Any]]:
        found = self._ask("GET", "")
        if not isinstance(found, list) or not all(isinstance(each, dict) and "id" in each for each in found):
            raise self._strange()
        return found

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = Request(
            method=method,
            url=f"{self._path}{path}",
            headers={**self._headers, "Content-Type": "application/json"},
            body=b"" if body is None else json.dumps(body),
            timeout_s=_TIMEOUT_S,
            max_bytes=_MAX_BYTES,
        )
        try:
            response = self._network.send(request)
        except NetworkError as err:
            raise NetworkError(f"no platform answers at {mask_url(self._url)}: {err.message}") from err
        try:
            value = json.loads(response.body)
        except ValueError:
            value = None
        if response.status != 200:
            told = value.get("message") if isinstance(value, dict) else None
            reason = mask_text(str(told or "it gave no reason"))
            raise ApiError(f"the platform answered {response.status}: {reason}", status=response.status)
        return value

    def _strange(self) -> InvalidArgumentError:
        return InvalidArgumentError(f"what answers at {mask_url(self._url)} lists no dead letters; is it the platform?")


class Jobs:
    """Jobs that failed, on the store of a queue.

    Args:
        failed: The jobs.
        queue_name: Of one queue; of all when ``None``.
    """

    def __init__(self, failed: FailedJobs, queue_name: str | None) -> None:
        self._failed = failed
        self._queue_name = queue_name

    def summaries(self, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Return at most so many, and how many there are."""
        return self._failed.summaries(self._queue_name, limit=limit), self._failed.count(self._queue_name)

    def show(self, letter_id: str) -> dict[str, Any]:
        """Return one with its payload and error."""
        return self._failed.show(letter_id)

    def redrive(self, ids: Iterable[str] | None) -> int:
        """Have jobs run again."""
        return self._failed.redrive(ids, self._queue_name)

    def close(self) -> None:
        """Close the connections."""
        self._failed.close()


def _summary(letter: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "at", "channel", "entity_id", "message_id", "notification_id", "reason")
    shown: dict[str, Any] = mask({name: letter.get(name) for name in names})
    return shown
