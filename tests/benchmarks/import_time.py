"""How long imports take: the client's against what a sender by hand needs, the connector's against its libraries.

A sender by hand needs modules of the standard library, a connector Flask, requests and PyJWT. Each import has an
interpreter of its own, and one that imports nothing runs beside it: what counts is the processor time beyond that. The
client has not sent yet; its sockets are loaded when the first one is made. Bytecode is written once, into a folder of
the benchmark's own, and orjson is left out.

    python tests/benchmarks/import_time.py [--imports 5]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Final

from method import Contender, Contest, Target, Turn, arguments, finish

#: What the floor of ``send.py`` imports, and what any sender adds that works in the background.
STDLIB: Final = (
    "import base64, concurrent.futures, contextvars, dataclasses, datetime, hashlib, hmac, http.client, json, logging, "
    "os, secrets, ssl, sys, threading, time, urllib.parse, uuid, zlib"
)
CLIENT, CONNECTOR, FLOOR, WEB = "hull_sdk.Client", "hull_sdk.Connector", "standard library", "flask, requests, jwt"
#: By contender.
CODE: Final = {
    FLOOR: STDLIB,
    CLIENT: "import hull_sdk; hull_sdk.Client",
    WEB: "import flask, requests, jwt",
    CONNECTOR: "import hull_sdk; hull_sdk.Connector",
}
_WITHOUT_ORJSON: Final = "import sys; sys.modules['orjson'] = None; "


def main() -> None:
    """Run what the command line asks for."""
    parser = arguments(__doc__)
    parser.add_argument("--imports", type=int, default=5, help="interpreters of a turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        contenders = [
            Contender(name, _turns(code, options.imports, environment), options.imports) for name, code in CODE.items()
        ]
        result = Contest("import", "import", contenders, ratio_of="over_bare_ms").run(options.rounds)
    finish(
        [
            _target(f"{CLIENT} / {FLOOR}", result.ratio(CLIENT, FLOOR, "over_bare_ms"), 1.3),
            _target(f"{CONNECTOR} / {WEB}", result.ratio(CONNECTOR, WEB, "over_bare_ms"), 1.25),
        ]
    )


def _target(what: str, value: float, most: float) -> Target:
    return Target(what=f"import of {what}, beyond a bare interpreter", value=value, most=most)


def _turns(code: str, count: int, environment: Mapping[str, str]) -> Callable[[], Turn]:
    def take_turn() -> Turn:
        start, cpu_s, bare_s = time.perf_counter(), 0.0, 0.0
        for _ in range(count):
            bare_s += _processor_s(_WITHOUT_ORJSON, environment)
            cpu_s += _processor_s(_WITHOUT_ORJSON + code, environment)
        figures = {"over_bare_ms": (cpu_s - bare_s) / count * 1000}
        return Turn(count=count, wall_s=time.perf_counter() - start, cpu_s=cpu_s, figures=figures)

    return take_turn


def _processor_s(code: str, environment: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
