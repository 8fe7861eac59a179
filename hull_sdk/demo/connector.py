"""The demo's connector: scores people and rates companies. Written like any connector, with public names only.

What it writes depends on nothing but the present report, so the order in which notifications arrive, and how many
changes each of them carries, do not show in the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flask import Flask

from hull_sdk import Connector, Context
from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.infra import Instrumentation
from hull_sdk.types import AccountMessage, AccountReport, UserMessage, UserReport

__all__ = ["ATTRIBUTES", "MANIFEST", "create_app", "lead_score", "rate_company"]

MANIFEST: Final[dict[str, Any]] = {
    "name": "Lead scoring",
    "description": "Scores people and rates companies for the sales team.",
    "tags": ["smart-notifier"],
    "subscriptions": [
        {"url": "/smart-notifier", "channels": [{"channel": "user:update"}, {"channel": "account:update"}]}
    ],
    "settings": [],
    "private_settings": [],
}

#: What the connector writes, by kind of entity.
ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "user": ("leadscore/score", "leadscore/grade", "leadscore/reasons", "leadscore/summary"),
    "account": ("leadscore/tier", "leadscore/health"),
}

#: A score of at least the number gives the grade.
GRADES: Final = ((70, "A"), (45, "B"), (20, "C"))

_DECIDES: Final = ("chief", "founder", "head", "vp")
_ADVISES: Final = ("director", "manager", "lead")
_PLAN_POINTS: Final = {"trial": 10, "team": 20, "business": 25}
_STAGE_POINTS: Final = {"opportunity": 15, "customer": 10, "lost": -20}


def create_app(host_secret: str, allowed_organizations: Sequence[str]) -> Flask:
    """Build the connector as a Flask application.

    Args:
        host_secret: Any long random text.
        allowed_organizations: Hosts it may be told to talk to, for example ``["127.0.0.1"]``.

    Returns:
        The application. It reports to nobody, whatever the environment configures.
    """
    app = Flask(__name__)
    handlers = {"user:update": score_people, "account:update": rate_companies}
    app.register_blueprint(smart_notifier_handler(handlers), url_prefix="/smart-notifier")
    connector = Connector(
        host_secret=host_secret,
        manifest=MANIFEST,
        connector_name="lead-scoring",
        allowed_organizations=allowed_organizations,
        instrumentation=Instrumentation(),
    )
    return connector.setup_app(app)


def score_people(ctx: Context, messages: list[UserMessage]) -> None:
    """Write the lead score of everybody who has said who they are."""
    for message in messages:
        user = message["user"]
        if user.get("external_id") or user.get("email"):
            present = {name: user.get(f"traits_{name}") for name in ATTRIBUTES["user"]}
            news = _differing(lead_score(message), present)
            if news:
                ctx.client.as_user(user, create=False).traits(news)
    ctx.metric.increment("leads.scored", len(messages))
    ctx.smart_notifier_response.set_flow_control(type="next", size=100, in_ms=10)


def rate_companies(ctx: Context, messages: list[AccountMessage]) -> None:
    """Write tier and health of every company."""
    for message in messages:
        account = message["account"]
        news = _differing(rate_company(account), account)
        if news:
            ctx.client.as_account(account, create=False).traits(news)
    ctx.smart_notifier_response.set_flow_control(type="next", size=50, in_ms=10)


def lead_score(message: UserMessage) -> dict[str, Any]:
    """Return what is to be known about a lead.

    Args:
        message: A message of ``user:update``.

    Returns:
        The attributes of :data:`ATTRIBUTES`; the score is a number from 0 to 100.
    """
    user, account = message["user"], message["account"]
    reasons = dict([*_reasons_of_user(user), *_reasons_of_segments(message), *_reasons_of_account(account)])
    score = max(0, min(100, sum(reasons.values())))
    return {
        "leadscore/score": score,
        "leadscore/grade": next((grade for floor, grade in GRADES if score >= floor), "D"),
        "leadscore/reasons": sorted(reasons),
        "leadscore/summary": _summary(user, account),
    }


def rate_company(account: AccountReport) -> dict[str, Any]:
    """Return tier and health of a company.

    Args:
        account: Its report.
    """
    employees = account.get("employees") or 0
    tier = "enterprise" if employees >= 1000 else "mid-market" if employees >= 100 else "small"
    if (account.get("invoices_unpaid") or 0) > 0:
        health = "at risk"
    else:
        health = "healthy" if (account.get("mrr") or 0) > 0 else "prospect"
    return {"leadscore/tier": tier, "leadscore/health": health}


def _reasons_of_user(user: UserReport) -> Iterator[tuple[str, int]]:
    title = (user.get("traits_title") or "").lower()
    if any(word in title for word in _DECIDES):
        yield "decides", 20
    elif any(word in title for word in _ADVISES):
        yield "advises", 10
    plan, stage = user.get("traits_plan"), user.get("traits_crm/stage")
    if plan in _PLAN_POINTS:
        yield f"plan: {plan}", _PLAN_POINTS[plan]
    if stage in _STAGE_POINTS:
        yield f"stage: {stage}", _STAGE_POINTS[stage]
    for label, name, points, most in (
        ("demo requests", "traits_demo_requests", 10, 2),
        ("visits", "traits_visits", 1, 10),
        ("reports", "traits_reports_viewed", 1, 15),
    ):
        count = user.get(name) or 0
        if count > 0:
            yield f"{label}: {count}", points * min(count, most)


def _reasons_of_segments(message: UserMessage) -> Iterator[tuple[str, int]]:
    names = {segment["name"] for segment in message["segments"]}
    if "Newsletter readers" in names:
        yield "reads the newsletter", 3
    if "Engaged people" in names:
        yield "engaged", 10
    if any(segment["name"] == "Paying accounts" for segment in message["account_segments"]):
        yield f"account plan: {message['account'].get('plan')}", 10


def _reasons_of_account(account: AccountReport) -> Iterator[tuple[str, int]]:
    employees = account.get("employees") or 0
    points = next((points for floor, points in ((1000, 15), (200, 10), (50, 5)) if employees >= floor), 0)
    if points:
        yield "company size", points


def _summary(user: UserReport, account: AccountReport) -> str:
    role = user.get("traits_title") or "Unknown role"
    company = account.get("name") or account.get("domain")
    owner = account.get("crm/owner") or user.get("traits_crm/owner") or "nobody yet"
    return f"{role} at {company}, looked after by {owner}" if company else f"{role}, looked after by {owner}"


def _differing(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if present.get(name) != value}
