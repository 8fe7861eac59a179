"""Deletions end to end: a connector that mirrors users and accounts elsewhere, and forgets them with the platform."""

from __future__ import annotations

import random

import pytest
from flask import Flask

from hull_sdk import Connector
from hull_sdk.handlers import for_each, notif_handler, smart_notifier_handler
from hull_sdk.testing import Harness

SUBSCRIPTIONS = {"name": "Mirror", "subscriptions": [{"url": "/notify"}]}


class Mirror:
    """A connector that keeps a copy of everybody, and the order in which it was told of each."""

    def __init__(self, *, smart=True):
        self.copies = {"user": {}, "account": {}}
        self.story = {}
        app = Flask("mirror")
        handlers = {
            "user:update": lambda ctx, messages: self.keep(ctx, "user", messages),
            "account:update": lambda ctx, messages: self.keep(ctx, "account", messages),
            "user:delete": lambda ctx, messages: self.forget(ctx, "user", messages),
            "account:delete": lambda ctx, messages: self.forget(ctx, "account", messages),
        }
        app.register_blueprint((smart_notifier_handler if smart else notif_handler)(handlers), url_prefix="/notify")
        manifest = {**SUBSCRIPTIONS, "tags": ["smart-notifier"]} if smart else SUBSCRIPTIONS
        self.app = Connector(host_secret="a secret of the host for tests", manifest=manifest).setup_app(app)

    def keep(self, ctx, kind, messages):
        for message in messages if isinstance(messages, list) else [messages]:
            report = message[kind]
            self.story.setdefault(report["id"], []).append("update")
            self.copies[kind][report["id"]] = report.get("traits_n", report.get("n"))
            if report.get("traits_leave") or report.get("leave"):
                ctx.client.delete(report["id"])

    def forget(self, ctx, kind, messages):
        def one(message):
            self.story.setdefault(message[kind]["id"], []).append("delete")
            self.copies[kind].pop(message[kind]["id"], None)

        for_each(ctx, messages if isinstance(messages, list) else [messages], one)


def copied(harness, kind):
    """Return what a faithful mirror holds."""
    views = harness.organization.views(kind)
    return {view.report["id"]: view.report.get("traits_n", view.report.get("n")) for view in views}


@pytest.mark.shows("channel: user:delete", "channel: account:delete")
def test_a_connector_may_delete_and_is_told():
    """What it deletes through the API while it handles an update is told when that update is done."""
    mirror = Mirror()
    with Harness(mirror.app) as harness:
        harness.client.as_account({"domain": "acme.test"}).traits({"n": 1, "leave": True})
        harness.client.as_user({"external_id": "2"}).traits({"n": 2, "leave": True})
        harness.client.as_user({"external_id": "3"}).traits({"n": 3})
        harness.run_until_idle()
        assert sorted(mirror.copies["user"].values()) == [3]
        assert sorted(mirror.story.values()) == [["update"], ["update", "delete"], ["update", "delete"]]
        assert mirror.copies["account"] == copied(harness, "account") == {}


@pytest.mark.parametrize("seed", range(6))
def test_a_mirror_stays_faithful_through_faults(seed):
    """Whatever is created, changed and deleted while requests fail, hang and come twice, no copy is left of anybody."""
    draw, mirror = random.Random(seed), Mirror()
    kinds = ("error", "error_after", "drop_before", "drop_after", "timeout_after", "duplicate")
    with Harness(mirror.app, seed=seed) as harness:
        for number in range(40):
            person, company = {"external_id": str(draw.randrange(6))}, {"domain": f"{draw.randrange(3)}.test"}
            user = harness.client.as_user(person)
            if draw.random() < 0.3:
                user.account(company).traits({"n": number, "leave": draw.random() < 0.1})
            user.traits({"n": number, "leave": draw.random() < 0.1})
            if draw.random() < 0.3:
                harness.platform.faults.add(draw.choice(kinds), target="delivery", times=1)
            if draw.random() < 0.5:
                harness.advance(seconds=draw.choice([0, 1, 40]))
            if draw.random() < 0.2:
                kind, claims = draw.choice([("user", person), ("account", company)])
                found = harness.organization.find(kind, claims)
                if found is not None:
                    harness.organization.delete_entity(kind, found.id)
        harness.run_until_idle()
        assert mirror.copies == {kind: copied(harness, kind) for kind in ("user", "account")}
        ends = [story for story in mirror.story.values() if "delete" in story]
        assert len(ends) > 1
        assert all(story.count("delete") == 1 and story[-1] == "delete" for story in ends)
        assert harness.platform.pending == 0


def test_legacy_connectors_are_told_in_order_too():
    """Updates that the process has collected, and not handed over yet, are handled before the deletion."""
    mirror = Mirror(smart=False)
    with Harness(mirror.app) as harness:
        for n in range(3):
            harness.client.as_user({"external_id": "1"}).account({"domain": "acme.test"}).traits({"n": n})
            harness.client.as_account({"domain": "acme.test"}).traits({"n": n})
            harness.advance(seconds=1)
        assert mirror.copies["user"] == {}
        user, account = (harness.organization.entities(kind)[0].id for kind in ("user", "account"))
        harness.organization.delete_entity("user", user)
        harness.organization.delete_entity("account", account)
        harness.run_until_idle()
        assert mirror.story[user][-1] == mirror.story[account][-1] == "delete"
        assert mirror.story[user].count("update") >= 3
        assert mirror.copies == {"user": {}, "account": {}}
        assert {delivery.outcome for delivery in harness.deliveries} == {"next"}
