"""A server of files for the benchmark of extracts: rows of JSON or CSV, as many as the path says, never kept whole.

    python tests/benchmarks/rows_process.py

answers ``/json/200000`` and ``/csv/200000``, asked for by GET or POST.
"""

from __future__ import annotations

import csv
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from method import Turn, answer_turns

#: Rows that are made; a file has them again and again.
BLOCK: Final = 1_000
#: In each row, where a transfer that cuts characters would show.
NOTE: Final = "Große Änderung für Zoë: naïve façade, 東京, żółć, Ωmega"


def main() -> None:
    """Serve until nobody asks any more."""
    rows = [_row(number) for number in range(BLOCK)]
    header, lines = _csv(rows)
    files = {"json": (b"", b"".join(_line(row) for row in rows)), "csv": (header, lines)}

    class Visit(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _, file_format, count = self.path.split("/")
            head, block = files[file_format]
            blocks = int(count) // BLOCK
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(head) + blocks * len(block)))
            self.end_headers()
            self.wfile.write(head)
            for _ in range(blocks):
                self.wfile.write(block)

        do_POST = do_GET  # noqa: N815 - the name that the library asks for

        def log_message(self, *_: Any, **_options: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Visit)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sizes = {name: len(block) / BLOCK for name, (_, block) in files.items()}
    answer_turns(lambda: Turn(count=1, wall_s=1, cpu_s=0), {"port": server.server_address[1], "bytes": sizes})


def _row(number: int) -> dict[str, Any]:
    at = "2024-01-05T10:00:01Z"
    return {
        "id": f"5a7966bb8f3ea31{number:09d}",
        "external_id": f"user-{number}",
        "email": f"ann.{number}@acme-{number}.example",
        "domain": f"acme-{number}.example",
        "name": f"Änn Example {number}",
        "note": NOTE,
        "created_at": at,
        "last_seen_at": at,
        "is_approved": False,
        "accepts_marketing": True,
        "address_country": "France",
        "address_city": "Paris",
        "sessions_count": number % 30,
        "traits_plan": "enterprise",
        "traits_visits": 17 + number,
        "traits_score": 0.25 * number,
        "traits_salesforce/lead_status": "open",
        "traits_salesforce/owner_email": "owner@acme.example",
        "traits_hubspot/lifecycle_stage": "customer",
        "traits_last_order_at": at,
        "traits_description": 'Asked for a call about the new contract, "next week". ' * 5,
    }


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _csv(rows: list[dict[str, Any]]) -> tuple[bytes, bytes]:
    # The Node generation's reader knows no doubled quotes.
    plain = [{name: str(value).replace('"', "'") for name, value in row.items()} for row in rows]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(plain[0]), lineterminator="\n")
    writer.writeheader()
    header = text.getvalue().encode()
    writer.writerows(plain)
    return header, text.getvalue().encode()[len(header) :]


if __name__ == "__main__":
    main()
