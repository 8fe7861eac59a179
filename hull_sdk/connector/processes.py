"""How many processes a server was told to start: command line, environment and gunicorn's configuration file."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["worker_processes"]

_WORKERS: Final = re.compile(r"(?:^|\s)(?:-w\s*|--workers[=\s]\s*)(\d+)")
_CONFIG: Final = re.compile(r"(?:^|\s)(?:-c\s*|--config[=\s]\s*)(?:file:)?(\S+)")
_DEFAULT_CONFIG: Final = "gunicorn.conf.py"
#: What a file that computes the number counts as: one process is what nobody computes.
_COMPUTED: Final = 2


def worker_processes(environ: Mapping[str, str], argv: list[str]) -> int:
    """Return how many processes the server was told to start, as far as can be seen.

    Args:
        environ: ``WEB_CONCURRENCY`` and ``GUNICORN_CMD_ARGS`` are read.
        argv: The command line; used when it is gunicorn's, together with the configuration file that it names, or
            ``gunicorn.conf.py`` in the working directory. The file is read, not run.
    """
    gunicorn = bool(argv) and any("gunicorn" in part for part in Path(argv[0]).parts[-2:])
    options = [" ".join(argv) if gunicorn else "", environ.get("GUNICORN_CMD_ARGS", "")]
    for text in options:
        found = _WORKERS.search(text)
        if found is not None:
            return int(found[1])
    count = environ.get("WEB_CONCURRENCY", "")
    told = int(count) if count.isascii() and count.isdigit() else None
    configured = _configured(options, _COMPUTED if told is None else told) if gunicorn else None
    return next((number for number in (configured, told) if number is not None), 1)


def _configured(options: list[str], computed: int) -> int | None:
    named = next((found[1] for text in options if (found := _CONFIG.search(text)) is not None), _DEFAULT_CONFIG)
    try:
        tree = ast.parse(Path(named).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    values = [value for node in ast.walk(tree) if (value := _workers_of(node)) is not None]
    return max((_number_of(value, computed) for value in values), default=None)


def _workers_of(node: ast.AST) -> ast.expr | None:
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return None
    return node.value if any(isinstance(target, ast.Name) and target.id == "workers" for target in targets) else None


def _number_of(value: ast.expr, computed: int) -> int:
    number = value.value if isinstance(value, ast.Constant) else None
    return number if isinstance(number, int) else computed
