"""A host that the connector's owner has not allowed: whoever calls it was led astray."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.signatures import generate_key, public_pem

__all__ = ["Stranger"]

_END_S: Final = 5.0
#: Longest wait for a caller's request, in seconds.
_TIMEOUT_S: Final = 5


class Stranger:
    """Answers everybody with a public key of its own, and counts who comes; a connection counts too.

    Args:
        runtime: Runs it.
        listen: Address to listen on.
        port: Port; 0 for a free one.

    Raises:
        InvalidArgumentError: The address cannot be listened on.
    """

    def __init__(self, runtime: Runtime, listen: str, port: int) -> None:
        self.key: RSAPrivateKey = generate_key()
        self._runtime = runtime
        self._lock = Lock()
        self._visits = 0
        try:
            self._server = _Server((listen, port), _handler(self))
        except (OSError, OverflowError) as err:
            raise InvalidArgumentError(
                f"cannot listen on {listen}:{port}: {err}; choose another address with --listen"
            ) from err
        # A name that is not the one that was allowed, where there is one.
        name = "localhost" if listen == "127.0.0.1" else listen
        #: ``host:port`` as the connector would dial it.
        self.host: str = f"{name}:{self._server.server_address[1]}"
        self._ended = runtime.tasks.spawn(self._server.serve_forever, 0.05, name="hull-doctor-stranger")

    @property
    def visits(self) -> int:
        """How often it was called so far."""
        with self._lock:
            return self._visits

    def note(self) -> None:
        """Count a visit."""
        with self._lock:
            self._visits += 1

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._runtime.tasks.wait(self._ended, _END_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over callers who leave in the middle."""


def _handler(stranger: Stranger) -> type[BaseHTTPRequestHandler]:
    pem = public_pem(stranger.key).encode()

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def setup(self) -> None:
            stranger.note()
            super().setup()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(pem)))
            self.end_headers()
            self.wfile.write(pem)

        do_POST = do_PUT = do_GET  # noqa: N815 - as above

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Print nothing."""

    return Handler
