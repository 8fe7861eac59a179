import pytest
from greeter import create_app

ANN = {"email": "ann@acme.example"}


@pytest.fixture
def hull_app():
    return create_app()


def test_greets_by_first_name(hull_harness):
    """A user with a first name gets a greeting."""
    hull_harness.client.as_user(ANN).traits({"first_name": "Ann"})
    hull_harness.run_until_idle()
    assert hull_harness.user(ANN)["traits_greeting"] == "Hello Ann"


def test_counts_and_tracks_changes_of_the_plan(hull_harness):
    """Each change of the plan is counted and becomes an event."""
    for plan in ("free", "pro"):
        hull_harness.client.as_user(ANN).traits({"plan": plan})
        hull_harness.run_until_idle()  # without it, both changes would arrive as one
    assert hull_harness.user(ANN)["traits_plan_changes"] == 2
    events = hull_harness.events(ANN)  # the platform's own too, such as "User created"
    changes = [event for event in events if event["event"] == "Plan changed"]
    assert [event["properties"] for event in changes] == [{"from": None, "to": "free"}, {"from": "free", "to": "pro"}]
