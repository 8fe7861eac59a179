"""One batch, one request: posts it and says what has to happen to its messages next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hull_sdk import __version__
from hull_sdk.client.answers import body_of, error_of, is_success
from hull_sdk.client.config import ClientConfig
from hull_sdk.core.exchange import Request, Response
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import ConnectorNotFoundError, CredentialsError, HullError, NetworkError, TransientError
from hull_sdk.wire.firehose import (
    HEADER_ACCESS_TOKEN,
    HEADER_APP_ID,
    HEADER_ORGANIZATION,
    Rejection,
    batch_body,
    parse_rejections,
)

__all__ = ["Accepted", "Delivery", "Refused", "TooLarge", "TryAgain", "Verdict", "platform_headers"]

_WHAT: Final = "the batch"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The platform took the batch, except for some messages.

    Args:
        rejections: What it refused for good.
    """

    rejections: list[Rejection] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Refused:
    """No message of the batch will ever be taken.

    Args:
        error: Why.
    """

    error: HullError


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The same batch may be taken later.

    Args:
        error: Why it was not taken now; carries the pause that the platform asked for.
    """

    error: TransientError


class TooLarge:
    """The batch must be sent in parts."""


Verdict = Accepted | Refused | TryAgain | TooLarge


def platform_headers(config: ClientConfig, token: str) -> dict[str, str]:
    """Return the headers of every request to the platform.

    Args:
        config: Who asks.
        token: The connector's secret, or an access token.
    """
    return {
        HEADER_ORGANIZATION: config.organization,
        HEADER_APP_ID: config.id,
        HEADER_ACCESS_TOKEN: token,
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"hull-sdk-python/{__version__}",
    }


class Delivery:
    """Posts batches to a firehose.

    Args:
        config: Where to, and as whom.
        runtime: Clock and network.
    """

    def __init__(self, config: ClientConfig, runtime: Runtime) -> None:
        self._url = config.firehose
        self._headers = platform_headers(config, config.secret)
        self._runtime = runtime

    def post(self, messages: list[bytes], timeout_s: float) -> Verdict:
        """Send one batch and read the answer.

        Args:
            messages: Encoded messages; a repeated batch has the same message ids, so that the platform
                applies each once.
            timeout_s: Time for the request, in seconds.
        """
        clock = self._runtime.clock
        body = batch_body(messages, clock.time())
        request = Request(method="POST", url=self._url, headers=self._headers, body=body, timeout_s=timeout_s)
        try:
            response = self._runtime.net.send(request)
        except NetworkError as err:
            return TryAgain(err)
        except Exception as err:  # noqa: BLE001 - whatever breaks on the way, the messages must not be lost
            return TryAgain(NetworkError(f"{_WHAT} could not be sent: {type(err).__name__}: {err}"))
        return self._judge(response)

    def _judge(self, response: Response) -> Verdict:
        if is_success(response):
            return Accepted(parse_rejections(body_of(response)))
        if response.status == 413:
            return TooLarge()
        error = error_of(response, _WHAT, self._runtime.clock)
        if isinstance(error, TransientError):
            return TryAgain(error)
        if response.status == 403:
            return Refused(CredentialsError(str(error), status=403))
        if response.status == 404:
            return Refused(ConnectorNotFoundError(str(error)))
        return Refused(error)
