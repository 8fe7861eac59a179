"""Connectors that come and go while something is under way."""

import pytest
from delivery_kit import MANIFEST, NEXT, FakeConnector

ANN = {"email": "ann@acme.test"}
RULES = {**MANIFEST, "schedules": [{"url": "/hourly", "type": "cron", "value": "0 * * * *"}]}


class Leaving(FakeConnector):
    """A connector that is removed while its manifest is read."""

    leave = None

    def __call__(self, environ, start_response):
        if self.leave is not None:
            self.leave()
        return super().__call__(environ, start_response)


def test_a_connector_removed_while_its_manifest_is_read_is_not_followed(platform, organization, send):
    """Neither schedules nor deliveries begin for it."""
    fake = Leaving(RULES)
    connector = organization.install(fake)
    fake.leave = lambda: organization.uninstall(connector)
    organization.update_manifest(connector)
    fake.leave = None
    send.people(1)
    platform.advance(hours=2)
    assert fake.paths("/hourly") == []
    assert fake.bodies == []
    assert platform.pending == 0


def test_after_close_nothing_is_delivered(platform, organization, connector, fake, send):
    """What is written to a closed platform stays readable and is told to nobody."""
    platform.close()
    send.traits(ANN, {"plan": "pro"})
    organization.update_connector(connector, {"settings": {"a": 1}})
    platform.run_until_idle()
    assert fake.bodies == []
    assert platform.pending == 0
    assert organization.user_report(ANN)["traits_plan"] == "pro"


def test_dead_letters_of_a_dropped_channel_stay(platform, organization, connector, fake, send):
    """What nobody subscribes to any more cannot be sent again, and is not lost."""
    fake.answer = lambda n: {**NEXT, "responses": [error(m) for m in n["messages"]]}
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    letters = organization.dead_letters(connector.id)
    fake.manifest = {**MANIFEST, "subscriptions": []}
    organization.update_manifest(connector)
    assert organization.redrive(connector.id) == 0
    assert organization.dead_letters(connector.id) == letters != []
    assert platform.pending == 0


def error(message):
    """Return the result of a message that cannot be handled."""
    return {"message_id": message["message_id"], "status": "error", "reason": "no"}


@pytest.mark.parametrize("kind", ["user", "users_segment"])
def test_a_segment_is_created_by_kind_or_type(organization, kind):
    """The word of the wire means the same as the kind."""
    assert organization.create_segment(kind, "All", query={})["type"] == "users_segment"


def test_time_alone_is_noticed_every_six_hours(platform, organization, fake, send):
    """A membership that ends by time is told within six hours, without anybody asking."""
    leaf = {"event": "Ordered", "within": "30d"}
    organization.create_segment("user", "Recent", predicate={"type": "all", "predicates": [leaf]})
    send.track({"external_id": "1"}, "Ordered")
    platform.advance(days=29)
    assert [m["changes"]["segments"].keys() for m in fake.messages()] == [{"entered"}]
    platform.advance(days=1, hours=6)
    left = fake.messages()[-1]
    assert [segment["name"] for segment in left["changes"]["segments"]["left"]] == ["Recent"]
    assert left["events"][-1]["event"] == "Segments changed"


def test_a_slow_connector_holds_nobody_else_up(platform, organization, fake, send):
    """One that takes half a minute for each answer is waited for, and another one is told meanwhile."""
    quick = FakeConnector()
    organization.install(quick)
    fake.answer = lambda _notification: (platform.runtime.tasks.sleep(29), NEXT)[1]
    send.people(3)
    platform.run_until_idle()
    assert sorted(m["user"]["external_id"] for m in fake.messages()) == ["0", "1", "2"]
    assert sorted(m["user"]["external_id"] for m in quick.messages()) == ["0", "1", "2"]
    assert {delivery.outcome for delivery in platform.deliveries} == {"next"}
