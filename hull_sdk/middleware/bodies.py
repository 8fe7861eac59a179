"""The raw bytes of notifications, kept before anybody parses them: their signature covers these, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from hull_sdk.core.wsgi import WsgiApp
from hull_sdk.wire.notifications import MAX_NOTIFICATION_BYTES, too_large
from hull_sdk.wire.signatures import HEADER_FLAG
from hull_sdk.wire.sns import HEADER_TYPE, MAX_MESSAGE_BYTES

__all__ = ["ENV_BODY", "ENV_BODY_ERROR", "ENV_FLAG", "ENV_LEGACY", "BodyCapture", "keep_body", "rewind"]

#: Where the bytes stand in a request's WSGI environment ...
ENV_BODY: Final = "hull.body"
#: ... or why they could not be read.
ENV_BODY_ERROR: Final = "hull.body_error"
#: The headers by which smart and legacy notifications are known.
ENV_FLAG: Final = "HTTP_" + HEADER_FLAG.upper().replace("-", "_")
ENV_LEGACY: Final = "HTTP_" + HEADER_TYPE.upper().replace("-", "_")


class BodyCapture:
    """Keeps the raw bytes of a notification before anybody parses them; other requests pass untouched.

    Args:
        app: The application underneath.
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, with its body kept if it is a notification's, until the answer is sent."""
        if ENV_FLAG not in environ and ENV_LEGACY not in environ:
            return self._app(environ, start_response)
        keep_body(environ)
        return _Answer(self._app(environ, start_response), environ)


class _Answer:
    """The answer to a notification, with whose end the body is forgotten.

    A request that leads nowhere, as strangers send them, stays in memory until the garbage collector finds it; not so
    its body, which may be large.

    Args:
        chunks: What the application answered.
        environ: The request's WSGI environment.
    """

    def __init__(self, chunks: Iterable[bytes], environ: dict[str, Any]) -> None:
        self._chunks = chunks
        self._environ = environ

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        """End the answer, as WSGI servers do when they have sent it or cannot."""
        close = getattr(self._chunks, "close", None)
        try:
            if close is not None:
                close()
        finally:
            if self._environ.pop(ENV_BODY, None) is not None:
                self._environ["wsgi.input"] = io.BytesIO()
                self._environ["CONTENT_LENGTH"] = "0"


def keep_body(environ: dict[str, Any]) -> None:
    """Read the body of a notification, unless that has been done, and keep its raw bytes.

    Args:
        environ: The request's WSGI environment.
    """
    if ENV_BODY in environ or ENV_BODY_ERROR in environ:
        return
    length, limit = _content_length(environ), MAX_NOTIFICATION_BYTES if ENV_FLAG in environ else MAX_MESSAGE_BYTES
    if length is not None and length > limit:
        environ[ENV_BODY_ERROR] = too_large(length, limit)
        return
    body = _read(environ["wsgi.input"], limit + 1 if length is None else length)
    if len(body) > limit:
        environ[ENV_BODY_ERROR] = too_large(None, limit)
        return
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ[ENV_BODY] = body
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["wsgi.input_terminated"] = True


def rewind(environ: dict[str, Any]) -> None:
    """Let views read a notification again that an earlier function has parsed as a form.

    Args:
        environ: The request's WSGI environment.
    """
    if ENV_BODY in environ:
        environ["wsgi.input"].seek(0)


def _content_length(environ: dict[str, Any]) -> int | None:
    """Return how much may be read: ``None`` up to the end of a chunked body, 0 when nothing is announced."""
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return None
    text = environ.get("CONTENT_LENGTH") or ""
    if text.isascii() and text.isdigit():
        return int(text)
    return None if environ.get("wsgi.input_terminated") else 0


def _read(stream: Any, limit: int) -> bytes:
    chunks = []
    # All at once where the server can: each further read copies what it holds already.
    while limit > 0 and (chunk := stream.read(limit)):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)
