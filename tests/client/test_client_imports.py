"""What a process that only sends data has to load."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from itertools import pairwise

import pytest
from client_sinks import ID, Sink, served


@pytest.mark.process
def test_the_client_loads_no_web_framework_and_no_cryptography():
    """Importing the client leaves Flask, requests, jwt, cryptography and marshmallow alone."""
    code = (
        "import sys; from hull_sdk import Client; "
        "print([m for m in ('flask', 'werkzeug', 'requests', 'jwt', 'cryptography', 'marshmallow', 'hull_sdk.platform') "
        "if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
    assert found.stderr == ""


def run(code: str, *arguments: str) -> str:
    """Return what a fresh interpreter prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.process
def test_the_client_loads_the_standard_library_alone():
    """Before the first client is made, the standard library, orjson and 50 modules of its own at most are loaded."""
    loaded = json.loads(
        run(
            "import json, sys; before = set(sys.modules); import hull_sdk; hull_sdk.Client; "
            "print(json.dumps(sorted(set(sys.modules) - before)))"
        )
    )
    own = [name for name in loaded if name.startswith("hull_sdk")]
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"hull_sdk"}
    assert foreign <= {"orjson"}
    assert {"http.client", "ssl", "hull_sdk.core.virtual_tasks", "hull_sdk.core.wsgi"}.isdisjoint(loaded)
    assert 10 < len(own) <= 50


@pytest.mark.process
def test_what_a_send_needs_is_loaded_with_the_first_client():
    """Sending and flushing load no module: a fork in the midst of an import would leave the child without it."""
    code = (
        "import sys; from hull_sdk import Client; "
        f"client = Client(id={ID!r}, secret='s' * 32, organization=sys.argv[1]); before = set(sys.modules); "
        "client.as_user({'external_id': '1'}).traits({'n': 1}); "
        "print(client.flush().sent, sorted(set(sys.modules) - before))"
    )
    with served(Sink()) as host:
        assert run(code, host) == "1 []\n"


@pytest.mark.process
def test_the_client_is_imported_quickly():
    """It costs no more than twice the processor time of urllib3, which it loads later, on a busy machine too."""
    client, urllib3 = processor_s("import hull_sdk; hull_sdk.Client"), processor_s("import urllib3")
    assert client < 2 * urllib3


def processor_s(code: str) -> float:
    """Return the least processor time, in seconds, of some fresh interpreters that run some code."""
    times = [children_s()]
    for _ in range(5):
        run(code)
        times.append(children_s())
    return min(later - earlier for earlier, later in pairwise(times))


def children_s() -> float:
    """Return the processor time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
