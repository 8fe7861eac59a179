"""What an operator should look at: no file, a run that failed, rows that were left out."""

from __future__ import annotations

from hull_sdk import Context
from hull_sdk.types import StatusAnswer
from import_connector.runs import job_of
from import_connector.settings import private_settings

__all__ = ["last_run_is_well"]


def last_run_is_well(ctx: Context) -> StatusAnswer | None:
    """Return what was wrong with the last run.

    Args:
        ctx: The context.
    """
    settings = private_settings(ctx)
    last, file = settings["last_run"], settings["last_file"]
    if not settings["url"]:
        return {"status": "setupRequired", "messages": ["The address of the file is missing."]}
    if last.get("state") == "failed":
        return {"status": "error", "messages": [f"The file was not imported: {last['reason']}."]}
    job = job_of(ctx)
    if job is not None and job["state"] == "failed":
        return {"status": "error", "messages": [f"Hull did not import the file: {job['reason']}."]}
    refused = 0 if job is None else job["progress"]["failed"] + job["progress"]["skipped"]
    bad = file.get("bad", 0) if file.get("mark") == last.get("mark") else 0
    if bad + refused:
        text = f"{bad + refused} of {file.get('rows')} rows were not taken; the connector's page has them."
        return {"status": "warning", "messages": [text]}
    return None
