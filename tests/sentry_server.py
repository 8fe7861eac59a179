"""A server on loopback that stands where Sentry is: it keeps what Sentry's library posts."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from secrets_watch import WATCH


class SentryServer(HTTPServer):
    """Keeps each post as its path and its text, decompressed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[tuple[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: SentryServer

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        text = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        self.server.posts.append((self.path, text.decode()))
        WATCH.saw("Sentry", text.decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args):
        pass


@contextmanager
def sentry_server() -> Iterator[SentryServer]:
    """Serve for the time of a ``with`` block."""
    server = SentryServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
