"""gunicorn with what `hull new` configures, its hook for workers included, and perhaps without orjson.

python tests/benchmarks/gunicorn_process.py --bind 127.0.0.1:5000 "notify_process:ours()"
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

#: As in `notifications.py`, which itself loads the package, and orjson with it.
WITHOUT_ORJSON = "BENCHMARK_WITHOUT_ORJSON"


def main() -> None:
    """Serve."""
    if WITHOUT_ORJSON in os.environ:
        sys.modules["orjson"] = None  # type: ignore[assignment] - as if it were not installed
    from gunicorn.app.wsgiapp import run

    from hull_sdk.scaffold.project import project_files, project_names

    with tempfile.TemporaryDirectory(prefix="gunicorn-") as folder:
        conf = Path(folder) / "gunicorn.conf.py"
        conf.write_text(project_files(project_names("acme-crm"))[conf.name], encoding="utf-8")
        sys.argv[1:1] = ["--config", str(conf)]
        run()


if __name__ == "__main__":
    main()
