"""The platform's HTTP API, split by topic; every module shapes requests and answers and decides nothing.

Rules: section "REST" of ``docs/protocol.md``.
"""

from hull_sdk.platform.api.app import build_app

__all__ = ["build_app"]
