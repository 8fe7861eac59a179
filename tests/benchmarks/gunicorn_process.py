"""gunicorn with what `hull new` configures, its hook for workers included, perhaps without orjson or with more hooks.

python tests/benchmarks/gunicorn_process.py --bind 127.0.0.1:5000 "notify_process:ours()"
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

#: As in `notifications.py`, which itself loads the package, and orjson with it.
WITHOUT_ORJSON = "BENCHMARK_WITHOUT_ORJSON"
PINNED = "BENCHMARK_PINNED"

#: What the page about deploying shows: a processor of its own for each worker.
PIN = """
def pre_fork(server, worker):
    taken = [each.processor for each in server.WORKERS.values()]
    worker.processor = min(sorted(os.sched_getaffinity(0)), key=taken.count)


def post_fork(_server, worker):
    os.sched_setaffinity(0, {worker.processor})
"""


def main() -> None:
    """Serve."""
    if WITHOUT_ORJSON in os.environ:
        sys.modules["orjson"] = None  # type: ignore[assignment] - as if it were not installed
    from gunicorn.app.wsgiapp import run

    from hull_sdk.scaffold.project import project_files, project_names

    with tempfile.TemporaryDirectory(prefix="gunicorn-") as folder:
        conf = Path(folder) / "gunicorn.conf.py"
        text = project_files(project_names("acme-crm"))[conf.name]
        conf.write_text(text + PIN if PINNED in os.environ else text, encoding="utf-8")
        sys.argv[1:1] = ["--config", str(conf)]
        run()


if __name__ == "__main__":
    main()
