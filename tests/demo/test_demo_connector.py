"""The lead-scoring connector: written with public names, and a pure function of the report."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hull_sdk.demo import connector as module
from hull_sdk.demo.connector import ATTRIBUTES, MANIFEST, create_app, lead_score, rate_company
from hull_sdk.testing import Harness


@pytest.fixture
def harness():
    """The connector on a platform of its own."""
    with Harness(create_app("a long random text", ["acme.hullapp.test"])) as harness:
        yield harness


def message(user, account=None, segments=(), account_segments=()):
    """Return a message of user:update."""
    return {
        "user": user,
        "account": {} if account is None else account,
        "segments": [{"name": name} for name in segments],
        "account_segments": [{"name": name} for name in account_segments],
    }


def test_imports_public_names_only():
    """Like any connector it imports with at most one dot."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [name for name in names if name.startswith("hull_sdk")]
    assert all(name.count(".") <= 1 for name in names)


def test_asks_for_the_channels_that_it_handles():
    """The manifest subscribes to users and accounts."""
    (subscription,) = MANIFEST["subscriptions"]
    assert [entry["channel"] for entry in subscription["channels"]] == ["user:update", "account:update"]


def test_scores_a_lead():
    """Role, plan, stage, doings, segments and company add up."""
    user = {
        "traits_title": "VP Sales",
        "traits_plan": "trial",
        "traits_crm/stage": "opportunity",
        "traits_visits": 12,
        "traits_reports_viewed": 3,
        "traits_demo_requests": 4,
        "traits_crm/owner": "Rosa Lind",
    }
    account = {"name": "Acme", "employees": 240, "plan": "team"}
    found = lead_score(message(user, account, ["Engaged people", "Newsletter readers"], ["Paying accounts"]))
    assert found["leadscore/score"] == 100
    assert found["leadscore/grade"] == "A"
    assert found["leadscore/reasons"] == [
        "account plan: team",
        "company size",
        "decides",
        "demo requests: 4",
        "engaged",
        "plan: trial",
        "reads the newsletter",
        "reports: 3",
        "stage: opportunity",
        "visits: 12",
    ]
    assert found["leadscore/summary"] == "VP Sales at Acme, looked after by Rosa Lind"


@pytest.mark.parametrize(("visits", "plan", "grade"), [(0, None, "D"), (0, "team", "C"), (10, "team", "C")])
def test_grades_by_score(visits, plan, grade):
    """A score below 20 is a D, one from 20 a C."""
    assert lead_score(message({"traits_visits": visits, "traits_plan": plan}))["leadscore/grade"] == grade


def test_a_lost_lead_never_falls_below_zero():
    """The score stays between 0 and 100."""
    found = lead_score(message({"traits_crm/stage": "lost"}))
    assert (found["leadscore/score"], found["leadscore/grade"]) == (0, "D")


@pytest.mark.parametrize(
    ("account", "tier", "health"),
    [
        ({}, "small", "prospect"),
        ({"employees": 100, "mrr": 490}, "mid-market", "healthy"),
        ({"employees": 1000, "mrr": 490, "invoices_unpaid": 1}, "enterprise", "at risk"),
    ],
)
def test_rates_a_company(account, tier, health):
    """Employees give the tier, money and unpaid invoices the health."""
    assert rate_company(account) == {"leadscore/tier": tier, "leadscore/health": health}


def test_writes_back_once_and_then_rests(harness):
    """Its own writes come back to it, and it has nothing to add."""
    harness.client.as_user({"email": "ann@acme.example"}).account({"domain": "acme.example"}).traits({"employees": 60})
    harness.client.as_user({"email": "ann@acme.example"}).traits({"title": "Head of Data"})
    harness.run_until_idle()
    ann = harness.user({"email": "ann@acme.example"})
    assert ann["traits_leadscore/score"] == 25
    assert {f"traits_{name}" for name in ATTRIBUTES["user"]} <= set(ann)
    assert harness.account({"domain": "acme.example"})["leadscore/tier"] == "small"
    writes = [each for each in harness.firehose if any(name.startswith("leadscore/") for name in each["body"])]
    harness.run_until_idle()
    assert len(writes) == 2
    assert all(delivery.outcome == "next" for delivery in harness.deliveries)


def test_leaves_visitors_alone(harness):
    """Somebody who is known by an anonymous id only gets no score."""
    harness.client.as_user({"anonymous_id": "web-1"}).traits({"visits": 5})
    harness.run_until_idle()
    assert "traits_leadscore/score" not in harness.user({"anonymous_id": "web-1"})


def test_creates_nobody(harness):
    """A write for somebody who is gone makes no new person."""
    harness.client.as_user({"email": "ann@acme.example"}).traits({"title": "Head of Data"})
    harness.run_until_idle()
    assert len(harness.organization.entities("user")) == 1
