"""The settings and units of the page about deploying do what it says."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess

import pytest
from doc_pages import ROOT
from running_process import GUNICORN_LISTENS

from hull_sdk.core.net import HttpNetwork, Request

PAGE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
APP = """
from flask import Flask
from hull_sdk import Connector

def create_app():
    return Connector(host_secret="a long random text", manifest={"name": "Shop"}).setup_app(Flask(__name__))
"""


def blocks(language: str) -> dict[str, str]:
    """Return the blocks of a language whose first line names a file, by that name."""
    found = re.findall(rf"```{language}\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
    return dict(found)


@pytest.mark.process
def test_the_settings_serve_and_stop(start_process, tmp_path, valkey):
    """Gunicorn takes the page's settings, four processes are ready, and SIGTERM ends them cleanly."""
    (tmp_path / "gunicorn.conf.py").write_text(blocks("python")["gunicorn.conf.py"])
    (tmp_path / "shop.py").write_text(APP)
    command = ["gunicorn", "--config", "gunicorn.conf.py", "--bind", "127.0.0.1:0", "shop:create_app()"]
    gunicorn = start_process(command, env={"HULL_REDIS_URL": valkey.url}, cwd=tmp_path)
    url = gunicorn.wait_for(GUNICORN_LISTENS)[1]
    network = HttpNetwork()
    for path, said in (("/health", b'{"status":"ok"}\n'), ("/ready", b'{"status":"ok","store":"ok"}\n')):
        assert network.send(Request(method="GET", url=f"{url}{path}", timeout_s=30)).body == said
    network.close()
    assert gunicorn.stop() == 0
    assert "connector.cache.unshared" not in "".join(gunicorn.stderr)


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processors that can be chosen, as on Linux")
def test_each_worker_has_a_processor(start_process, tmp_path, valkey):
    """With the page's hooks workers are spread over the processors, and a new one gets the place of the one that ended."""
    found = re.findall(
        r"```python\n# (?:gunicorn.conf.py|what else gunicorn.conf.py may hold)\n(.*?)```", PAGE, re.DOTALL
    )
    told = 'def post_worker_init(worker):\n    worker.log.info("worker %s has begun", worker.pid)\n'
    (tmp_path / "gunicorn.conf.py").write_text("\n".join([*found, told]))
    (tmp_path / "shop.py").write_text(APP)
    command = ["gunicorn", "--config", "gunicorn.conf.py", "--bind", "127.0.0.1:0", "shop:create_app()"]
    gunicorn = start_process(command, env={"HULL_REDIS_URL": valkey.url}, cwd=tmp_path)
    processors = os.sched_getaffinity(0)
    fair = sorted(sorted(processors)[number % len(processors)] for number in range(4))
    begun = r"worker (\d+) has begun"
    pids = [int(gunicorn.wait_for(begun)[1]) for _ in range(4)]
    chosen = {pid: os.sched_getaffinity(pid) for pid in pids}
    assert sorted(processor for each in chosen.values() for processor in each) == fair
    os.kill(pids[0], signal.SIGTERM)
    assert os.sched_getaffinity(int(gunicorn.wait_for(begun)[1])) == chosen[pids[0]]
    assert gunicorn.stop() == 0


@pytest.mark.process
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_units_are_well_formed(tmp_path):
    """Systemd finds nothing wrong in the page's units, once their programs are there."""
    units = blocks("ini")
    assert sorted(units) == ["shop-jobs.service", "shop.service"]
    for name, text in units.items():
        (tmp_path / name).write_text(re.sub(r"(?<=ExecStart=)\S+", "/bin/true", text))
    verify = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in units)]
    checked = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
