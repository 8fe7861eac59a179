"""``hull platform``: the reference platform as a server, for connectors in any language."""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import click

from hull_sdk.core import json
from hull_sdk.core.logs import JsonFormatter
from hull_sdk.core.process import end_process
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform import Platform
from hull_sdk.platform.config import configure, read_config, ready_line
from hull_sdk.platform.server import serve

__all__ = ["platform"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65_535), help="Port, 0 for a free one.")
@click.option("--config", "config_path", required=True, type=click.Path(path_type=Path), help="Organizations, as JSON.")
@click.option("--address", default=None, help="host:port that connectors dial, when it is not where it listens.")
@click.option("--test-controls", is_flag=True, help="Answer below /_platform: clock, faults, deliveries, reset.")
@click.option("--log-level", default="INFO", show_default=True, help="Level of the log on stderr.")
def platform(
    host: str, port: int, config_path: Path, address: str | None, *, test_controls: bool, log_level: str
) -> None:
    """Serve the reference platform.

    Prints one line of JSON to stdout as soon as it accepts connections; logs go to stderr, one JSON object a line.
    SIGTERM and SIGINT stop it.
    """
    try:
        config = read_config(config_path)
        _log_to_stderr(log_level)
        _run(config, host, port, address, test_controls=test_controls)
    except InvalidArgumentError as err:
        raise click.ClickException(err.message) from err


def _run(config: dict[str, Any], host: str, port: int, address: str | None, *, test_controls: bool) -> None:
    served = Platform()
    served.test_controls = test_controls
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _stop)
    try:
        # Closed before the interpreter ends, so that no thread of its writes to a stream that is going away.
        with closing(serve(served, host, port, address=address)) as server:
            configure(served, config)
            print(json.dumps(ready_line(served, server.url)).decode(), flush=True)
            served.runtime.tasks.wait(served.runtime.tasks.future())
    except KeyboardInterrupt:
        pass
    finally:
        served.close()
    end_process(0)


def _stop(_number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _log_to_stderr(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise InvalidArgumentError(f"--log-level is {level!r}; use DEBUG, INFO, WARNING or ERROR")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("hull_sdk")
    logger.addHandler(handler)
    logger.setLevel(number)
