"""Previews of identity: why claims lead where they lead, and what looks like a shared device."""

from __future__ import annotations

import pytest
from ingestion_kit import Bench


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


@pytest.fixture
def preview(bench):
    """Return a function that previews claims of users, and shows that nothing changed."""

    def preview(**claims):
        before = bench.organization.state()
        found = bench.organization.preview("user", claims)
        assert bench.organization.state() == before
        return found

    return preview


def test_it_says_by_what_somebody_is_found(bench, preview):
    """The strongest identifier decides; what the others match is listed, and what merges is named with its reason."""
    ann = bench.traits({"external_id": "1", "email": "ann@acme.test"}).entity_id
    visitor = bench.traits({"anonymous_id": "a"}).entity_id
    found = preview(external_id="1", email="ann@acme.test", anonymous_id="a")
    assert found["matches"] == {"external_id": [ann], "email": [ann], "anonymous_id": [visitor]}
    assert found["why"] == [
        f"the user {ann} is found by external_id",
        f"the user {visitor} matches by anonymous_id and has no external_id: it is merged, for good",
    ]
    assert found["warnings"] == []


def test_it_says_who_receives_an_external_id(bench, preview):
    """An external_id that nobody has goes to the match that has none."""
    visitor = bench.traits({"anonymous_id": "a"}).entity_id
    assert preview(external_id="1", anonymous_id="a")["why"] == [
        f"the user {visitor} is found by anonymous_id",
        "nobody has the external_id '1', and the user found has none: it receives it",
    ]


def test_it_says_why_somebody_is_created_or_refused(bench, preview):
    """Nobody matches, everybody who matches has an external_id, or the message would end."""
    assert preview(email="ann@acme.test")["why"] == ["no user matches"]
    bench.traits({"external_id": "1", "email": "ann@acme.test"})
    created = preview(external_id="2", email="ann@acme.test")
    assert (created["outcome"], created["why"]) == ("create", ["every user who matches has another external_id"])
    bench.traits({"external_id": "2", "email": "ann@acme.test"})
    assert preview(email="ann@acme.test")["why"][0].endswith("is found by email, which is on 2")
    failed = preview(id="nobody")
    assert failed["why"] == [failed["reason"]]


ANN, ANN_42 = {"email": "ann@a.test", "anonymous_id": "a"}, {"external_id": "42", "anonymous_id": "a"}
STAYS, WRITTEN, MERGED = "stays with that user", "is written to that user", "cannot be undone"


@pytest.mark.parametrize(
    ("there", "claims", "effect"),
    [
        (ANN_42, {"external_id": "43", "anonymous_id": "a"}, STAYS),
        (ANN_42, {"email": "bob@b.test", "anonymous_id": "a"}, STAYS),
        (ANN, {"email": "eve@e.test", "anonymous_id": "a"}, WRITTEN),
        ({**ANN, **ANN_42}, {"email": "eve@e.test", "anonymous_id": "a"}, WRITTEN),
        (ANN, {"external_id": "9", "anonymous_id": "a"}, MERGED),
        (ANN, {"email": "bob@b.test", "anonymous_id": "a"}, MERGED),
    ],
)
def test_it_warns_of_a_device_that_several_people_use(bench, preview, there, claims, effect):
    """The warning names the identifier, its holder and what would come of it, and that is what happens then."""
    bench.traits({"external_id": "9", "email": "bob@b.test"})
    ann = bench.traits(there).entity_id
    (warning,) = preview(**claims)["warnings"]
    assert f"the anonymous_id 'a' is on the user {ann}, but " in warning
    assert effect in warning
    recipient = bench.traits(claims).entity_id
    gone = bench.organization.find_user(ann) is None
    assert (recipient == ann, gone) == (effect == WRITTEN, effect == MERGED)


@pytest.mark.parametrize(
    ("there", "claims"),
    [
        ({"anonymous_id": "a"}, {"email": "bob@b.test", "anonymous_id": "a"}),
        ({"email": "ann@a.test", "anonymous_id": "a"}, {"email": "ann@a.test", "anonymous_id": "a"}),
        ({"email": "ann@a.test", "anonymous_id": "a"}, {"external_id": "1", "anonymous_id": "a"}),
        ({"external_id": "1", "anonymous_id": "a"}, {"anonymous_id": "a"}),
        ({"external_id": "1"}, {"external_id": "2", "anonymous_id": "a"}),
    ],
)
def test_it_does_not_warn_of_one_person(bench, preview, there, claims):
    """A visitor who becomes known, and one who comes again, are no reason to warn."""
    bench.traits(there)
    assert preview(**claims)["warnings"] == []
