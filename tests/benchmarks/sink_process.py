"""A firehose that accepts everything and counts afterwards, in a process of its own.

It keeps the bodies as they came and reads them when it is asked what arrived, so that it takes little of the processor
while somebody is measured. Each message has a number ``n`` in its body; equal numbers are one message that came twice.

    python tests/benchmarks/sink_process.py [--delay-ms 0]
"""

from __future__ import annotations

import json
import socketserver
import threading
import time

from method import Turn, answer_turns, arguments

ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Sink(socketserver.ThreadingTCPServer):
    """Answers every request after a while.

    Args:
        delay_s: Seconds between a request and its answer.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1_024

    def __init__(self, delay_s: float) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.delay_s = delay_s
        self._lock = threading.Lock()
        self._bodies: list[bytes] = []
        self._connections = self._open = self._most_open = 0

    def opened(self, by: int) -> None:
        """Count a connection in (1) or out (-1)."""
        with self._lock:
            self._connections += by > 0
            self._open += by
            self._most_open = max(self._most_open, self._open)

    def keep(self, body: bytes) -> None:
        """Keep what a request brought."""
        with self._lock:
            self._bodies.append(body)

    def take(self) -> Turn:
        """Return what came since the last time: ``count`` different messages, and how many came in all."""
        with self._lock:
            bodies, self._bodies = self._bodies, []
            figures = {"requests": len(bodies), "connections": self._connections, "at_once": self._most_open}
            self._connections, self._most_open = 0, self._open
        numbers = [message["body"]["n"] for body in bodies for message in json.loads(body)["batch"]]
        return Turn(count=len(set(numbers)), wall_s=1, cpu_s=0, figures={**figures, "messages": len(numbers)})


class Visit(socketserver.StreamRequestHandler):
    """One connection; requests follow one another on it."""

    server: Sink
    disable_nagle_algorithm = True
    rbufsize = 1 << 16

    def handle(self) -> None:
        """Read and answer until the other side hangs up."""
        self.server.opened(1)
        try:
            while self.rfile.readline():
                headers = dict(_headers(self.rfile))
                self.server.keep(_body(self.rfile, headers))
                if self.server.delay_s:
                    time.sleep(self.server.delay_s)
                self.wfile.write(ANSWER)
                if headers.get(b"connection", b"").lower() == b"close":
                    return
        except ConnectionError:
            return
        finally:
            self.server.opened(-1)


def _headers(stream):
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        yield name.strip().lower(), value.strip()


def _body(stream, headers):
    if b"content-length" in headers:
        return stream.read(int(headers[b"content-length"]))
    chunks = []
    while size := int(stream.readline(), 16):
        chunks.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(chunks)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    with Sink(parser.parse_args().delay_ms / 1000) as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        answer_turns(sink.take, {"port": sink.server_address[1]})
