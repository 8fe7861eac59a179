"""Whether a process lives, and whether it can take work: for orchestrators and load balancers.

Anybody may ask, so the answers name no host and no reason of the store; those stand in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from hull_sdk.core.logs import emit
from hull_sdk.errors import NetworkError
from hull_sdk.infra import Cache
from hull_sdk.middleware import Extension

__all__ = ["HEALTH_PATH", "READY_PATH", "health_responder"]

HEALTH_PATH: Final = "/health"
READY_PATH: Final = "/ready"

#: How long what was found out about the store is told to whoever asks, in seconds: strangers do not keep it busy.
FOUND_S: Final = 1.0
_UNREADY: Final = 503

_log = logging.getLogger(__name__)


def health_responder(extension: Extension) -> Callable[[], ResponseReturnValue | None]:
    """Return a function that answers ``/health`` and ``/ready``, for requests that lead to no view.

    Args:
        extension: What the application shares.
    """
    found = Cache(FOUND_S, 1, extension.runtime)

    def respond() -> ResponseReturnValue | None:
        if request.path == HEALTH_PATH:
            return jsonify(status="ok")
        if request.path != READY_PATH:
            return None
        state = _state(extension, found)
        return jsonify(state), 200 if state["status"] == "ok" else _UNREADY

    return respond


def _state(extension: Extension, found: Cache) -> dict[str, Any]:
    if extension.shutdown.begun:
        return {"status": "stopping"}
    if not extension.runs.shared:
        return {"status": "ok"}
    reached = found.wrap("store", lambda: _reaches_store(extension))
    return {"status": "ok", "store": "ok"} if reached else {"status": "unready", "store": "away"}


def _reaches_store(extension: Extension) -> bool:
    try:
        extension.runs.get("ready")
    except NetworkError as err:
        emit(_log, logging.WARNING, "connector.unready", {"reason": err.message})
        return False
    return True
