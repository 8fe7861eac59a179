"""The connector: what turns a Flask application into one."""

from __future__ import annotations

from hull_sdk.connector.connector import Connector

__all__ = ["Connector"]
