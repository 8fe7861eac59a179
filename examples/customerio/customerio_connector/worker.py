"""Runs jobs, which bring batches: ``python -m customerio_connector.worker``, needed with ``HULL_REDIS_URL`` only."""

from __future__ import annotations

from customerio_connector.app import connect, create_app

__all__ = ["work"]


def work() -> None:
    """Run jobs until the process is told to stop; as many such processes may run as there are batches."""
    connector = connect()
    create_app(connector)
    connector.start_worker()


if __name__ == "__main__":
    work()
