"""What a process that only sends data has to load."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
