"""``hull platform``: the reference platform as a server, for connectors in any language."""

from __future__ import annotations

import functools
import logging
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from hull_sdk.cli.logs import json_handler
from hull_sdk.core import json
from hull_sdk.core.collector import freeze_survivors, thaw
from hull_sdk.core.process import end_process
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform import Platform
from hull_sdk.platform.config import configure, read_config, ready_line
from hull_sdk.platform.fixtures import load_fixtures
from hull_sdk.platform.server import serve
from hull_sdk.platform.snapshots import Keeper, load_snapshot

__all__ = ["platform"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65_535), help="Port, 0 for a free one.")
@click.option("--config", "config_path", required=True, type=click.Path(path_type=Path), help="Organizations, as JSON.")
@click.option("--address", default=None, help="host:port that connectors dial, when it is not where it listens.")
@click.option("--data", type=click.Path(path_type=Path, dir_okay=False), help="Go on from this file, and save to it.")
@click.option("--seed-data", type=click.Path(path_type=Path), help="Users, accounts and events to begin with.")
@click.option("--test-controls", is_flag=True, help="Answer below /_platform: clock, faults, deliveries, reset.")
@click.option("--log-level", default="INFO", show_default=True, help="Level of the log on stderr.")
def platform(
    host: str,
    port: int,
    config_path: Path,
    address: str | None,
    *,
    data: Path | None,
    seed_data: Path | None,
    test_controls: bool,
    log_level: str,
) -> None:
    """Serve the reference platform.

    Prints one line of JSON to stdout as soon as it accepts connections; logs go to stderr, one JSON object a line.
    SIGTERM and SIGINT stop it. With --data it saves its state then, and goes on from there when it is started again.
    --seed-data is left aside when there is saved state.
    """
    try:
        config = read_config(config_path)
        _log_to_stderr(log_level)
        served = Platform()
        served.test_controls = test_controls
        if data is not None:
            served.keeper = Keeper(served, data)
        _run(served, host, port, address, functools.partial(_fill, served, config, data, seed_data))
    except InvalidArgumentError as err:
        raise click.ClickException(err.message) from err


def _run(served: Platform, host: str, port: int, address: str | None, fill: Callable[[], None]) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _stop)
    try:
        freeze_survivors()
        # Closed before the interpreter ends, so that no thread of its writes to a stream that is going away.
        with closing(serve(served, host, port, address=address)) as server:
            fill()
            print(json.dumps(ready_line(served, server.url)).decode(), flush=True)
            _wait(served)
            if served.keeper is not None:
                served.pause()  # while it still listens: who is being called may have to call back
        if served.keeper is not None:
            served.keeper()
    finally:
        served.close()
        thaw()
    end_process(0)


def _wait(served: Platform) -> None:
    with suppress(KeyboardInterrupt):
        served.runtime.tasks.wait(served.runtime.tasks.future())
    for name in (signal.SIGTERM, signal.SIGINT):  # from now on it is ending
        signal.signal(name, signal.SIG_IGN)


def _fill(served: Platform, config: dict[str, Any], data: Path | None, seed_data: Path | None) -> None:
    known = data is not None and load_snapshot(served, data)
    configure(served, config)
    if seed_data is not None and not known:
        load_fixtures(served, seed_data)


def _stop(_number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _log_to_stderr(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise InvalidArgumentError(f"--log-level is {level!r}; use DEBUG, INFO, WARNING or ERROR")
    logger = logging.getLogger("hull_sdk")
    logger.addHandler(json_handler())
    logger.setLevel(number)
