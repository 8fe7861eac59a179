"""Reads a generated extract of many megabytes over real HTTP in a job, and says how much memory that took.

``python extract_reader.py MEGABYTES FORMAT`` prints one line of JSON. The format is ``json`` (lines), ``array`` or
``csv``, or one of these with ``.gz``.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import zlib
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

from flask import Flask

from hull_sdk import Connector
from hull_sdk.handlers import smart_notifier_handler

ID = "5a7962e2793d3e942a03b29a"
NOTE = "lorem ipsum dolor sit amet " * 30
COLUMNS = ["id", "email", "traits_crm/stage", "note", "account.domain"]


def lines(file_format: str, size: int):
    """Return a file of at least so many bytes, a few rows at a time."""
    if file_format == "csv":
        yield (",".join(COLUMNS) + "\r\n").encode()
    sent = number = 0
    while sent < size:
        rows = []
        for number in range(number + 1, number + 65):  # noqa: B020 - goes on where the last round ended
            email, note = f"u{number}@acme.example", f'{NOTE}"{number}"'
            if file_format == "csv":
                rows.append(",".join([str(number), email, "won", '"' + note.replace('"', '""') + '"', "acme.example"]))
            else:
                row = {"id": str(number), "email": email, "traits_crm/stage": "won", "note": note}
                rows.append(json.dumps({**row, "segment_ids": [], "account": {"domain": "acme.example"}}))
        if file_format == "array":
            block = (("," if sent else "[") + ",\n".join(rows)).encode()
        else:
            block = ("\r\n".join(rows) + "\r\n").encode()
        sent += len(block)
        yield block
    if file_format == "array":
        yield b"]"


def packed(blocks):
    """Return a file as gzip."""
    packer = zlib.compressobj(1, wbits=31)
    for block in blocks:
        if part := packer.compress(block):
            yield part
    yield packer.flush()


class Platform:
    """Answers for the connector, and streams the file."""

    def __init__(self, file_format: str, size: int) -> None:
        self.file_format = file_format
        self.size = size

    def __call__(self, environ, start_response):
        """Answer one request."""
        start_response("200 OK", [("Content-Type", "application/json"), ("ETag", '"one"')])
        path = environ["PATH_INFO"]
        if path == "/file":
            found = lines(self.file_format.removesuffix(".gz"), self.size)
            return packed(found) if self.file_format.endswith(".gz") else found
        return [json.dumps([] if path.endswith("segments") else {"id": ID, "private_settings": {}}).encode()]


class Quiet(WSGIRequestHandler):
    """Writes no line for a request."""

    def log_message(self, *_args) -> None:
        """Write nothing."""


def largest_mb() -> int:
    """Return the most memory that this process ever had; ``getrusage`` would count that of its parent too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) // 1024 if found else 0


def main() -> None:
    """Read the file and tell."""
    megabytes, file_format = float(sys.argv[1]), sys.argv[2]
    server = make_server("127.0.0.1", 0, Platform(file_format, int(megabytes * 1e6)), handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    organization = f"127.0.0.1:{server.server_port}"
    counted = {"rows": 0, "largest_part": 0}

    def count(_ctx, messages) -> None:
        counted["rows"] += len(messages)
        counted["largest_part"] = max(counted["largest_part"], len(messages))

    app = Flask("reader")
    app.register_blueprint(smart_notifier_handler({"user:update": count}), url_prefix="/batch")
    connector = Connector(
        host_secret="a long random text", manifest={"name": "Reader"}, allowed_organizations=["127.0.0.1"]
    )
    connector.setup_app(app)
    before = largest_mb()
    began = time.monotonic()
    answer = app.test_client().post(
        "/batch",
        query_string={"ship": ID, "organization": organization, "secret": "s3cret"},
        json={
            "url": f"http://{organization}/file",
            "format": "csv" if file_format.startswith("csv") else "json",
            "object_type": "user_report",
        },
    )
    left = app.extensions["hull"].queue.stop(600)
    seconds = time.monotonic() - began
    after = largest_mb()
    found = {
        "answer": answer.text,
        "left": left,
        "seconds": round(seconds, 1),
        "rss_mb": after,
        "grown_mb": after - before,
    }
    print(json.dumps({**counted, **found}))  # noqa: T201 - this is its purpose
    sys.stdout.flush()


if __name__ == "__main__":
    main()
