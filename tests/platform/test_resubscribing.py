"""A channel that is dropped and subscribed to again while a request is under way."""

from __future__ import annotations

from delivery_kit import MANIFEST, NEXT

ANN = {"external_id": "1"}


def test_a_channel_subscribed_to_anew_waits_for_the_request_under_way(platform, organization, connector, fake, send):
    """Two notifications of one channel are never under way at once, though the first belongs to the old subscription."""
    under_way, most = 0, 0

    def answer(_notification):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if len(fake.bodies) == 1:
            for channels in (["account:update"], ["user:update"]):
                fake.manifest = {**MANIFEST, "subscriptions": [{"url": "/notify", "channels": channels}]}
                organization.update_manifest(connector)
            send.traits(ANN, {"plan": "team"})
            platform.runtime.tasks.sleep(5)
        under_way -= 1
        return NEXT

    fake.answer = answer
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert most == 1
    assert [m["user"]["traits_plan"] for m in fake.messages()] == ["pro", "team"]


def test_the_wait_ends_although_the_request_failed(platform, organization, connector, fake, send):
    """What was told to the new subscription arrives after the old request came to nothing."""

    def answer(_notification):
        if len(fake.bodies) > 1:
            return NEXT
        for channels in (["account:update"], ["user:update"]):
            fake.manifest = {**MANIFEST, "subscriptions": [{"url": "/notify", "channels": channels}]}
            organization.update_manifest(connector)
        send.traits(ANN, {"plan": "team"})
        return 500, b"broken"

    fake.answer = answer
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert [m["user"]["traits_plan"] for m in fake.messages()] == ["pro", "team"]
    assert platform.pending == 0


def test_an_answer_is_read_in_the_form_of_its_request(platform, organization, connector, fake, send):
    """A connector that asks for the same again, and loses its tag before it answers, is told again in the other form."""

    def answer(_notification):
        if len(fake.bodies) > 1:
            return "ok"
        fake.manifest = {**MANIFEST, "tags": []}
        organization.update_manifest(connector)
        return {"flow_control": {"type": "retry", "size": 1, "in": 10}}

    fake.answer = answer
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    smart, legacy = fake.notifications[0], [n for n in fake.notifications if n.get("Subject") == "user_report:update"]
    assert [envelope["MessageId"] for envelope in legacy] == [smart["notification_id"]]
    assert platform.pending == 0
