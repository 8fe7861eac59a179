"""The npm packages of the Node generation: installed once, and kept by the digest of the lock file.

Run as a script, it prints the folder that Node has to look in:

    python tests/interop/node_packages.py
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent / "node"
KEPT_IN = Path(__file__).parents[2] / ".pytest_cache" / "d"
PACKAGE_FILES = ("package.json", "package-lock.json")
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
INSTALL_TIMEOUT_S = 540


def installed(kept_in: Path = KEPT_IN) -> Path:
    """Return the folder of the installed packages, and install them there unless they are."""
    digest = hashlib.sha256(b"".join((SCRIPTS / name).read_bytes() for name in PACKAGE_FILES)).hexdigest()[:16]
    folder = kept_in / f"interop-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    complete = folder / "complete"
    if not complete.exists():
        for name in PACKAGE_FILES:
            shutil.copy(SCRIPTS / name, folder / name)
        subprocess.run(INSTALL, cwd=folder, check=True, timeout=INSTALL_TIMEOUT_S, stdout=subprocess.DEVNULL)
        complete.touch()
    return folder / "node_modules"


if __name__ == "__main__":
    if shutil.which("npm") is None:
        sys.exit("npm was not found; install Node 20 with npm")
    sys.stdout.write(f"{installed()}\n")
