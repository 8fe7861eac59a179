"""The independent calculation: what it imports, and its rules one by one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hull_sdk.demo import fold as module
from hull_sdk.demo.dataset import changed, load
from hull_sdk.demo.fold import fold

MESSAGES = load()
EXPECTED = fold(MESSAGES)

ANN = {"external_id": "u-1"}


def traits(claims, **values):
    """Return a traits message."""
    return {"as_user": claims, "traits": values}


def track(claims, event, event_id=None):
    """Return a track message."""
    return {"as_user": claims, "track": event, "context": {} if event_id is None else {"event_id": event_id}}


def lead(*messages, key="u-1"):
    """Return what has to be written about one person."""
    return fold(messages)["written"]["users"][key]


def test_imports_nothing_of_the_package():
    """What the platform is compared with shares no line of code with it."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            roots.add(node.module.partition(".")[0])
    assert roots == {"__future__", "collections", "dataclasses", "datetime", "re", "typing"}
    assert "__import__" not in ast.dump(tree)


def test_figures_of_the_data_set():
    """The bundled data set shows merging, segments and scores."""
    assert EXPECTED["messages"]["applied"] + EXPECTED["messages"]["ignored"] == len(MESSAGES)
    assert EXPECTED["messages"]["ignored"] > 0
    assert 55 <= EXPECTED["users"] <= 75
    assert EXPECTED["accounts"] == 12
    assert EXPECTED["messages"]["merged"] > 20
    assert all(counts["entered"] > 0 for counts in EXPECTED["segments"].values())
    assert sum(counts["left"] for counts in EXPECTED["segments"].values()) > 10
    assert {person["leadscore/grade"] for person in EXPECTED["written"]["users"].values()} == {"A", "B", "C", "D"}
    assert EXPECTED["dead_letters"] == 0


@pytest.mark.parametrize("change", ["drop", "double"])
def test_every_message_counts(change):
    """Leaving any single message out, or sending it twice, changes the figures."""
    for number in range(1, len(MESSAGES) + 1, 97):
        assert fold(changed(MESSAGES, f"{change}:{number}")) != EXPECTED


def test_order_counts():
    """Exchanging two writes of one attribute changes the figures."""
    plans = [
        n
        for n, m in enumerate(MESSAGES, 1)
        if m.get("as_account") == {"external_id": "co-501"} and "plan" in m["traits"]
    ]
    assert fold(changed(MESSAGES, f"swap:{plans[-2]}:{plans[-1]}")) != EXPECTED


def test_a_sign_up_merges_the_visitor():
    """An anonymous visitor becomes the person who signs up."""
    figures = fold([traits({"anonymous_id": "a"}, visits=2), traits({**ANN, "anonymous_id": "a"}, plan="trial")])
    assert figures["users"] == 1
    assert figures["written"]["users"]["u-1"]["leadscore/reasons"] == ["plan: trial", "visits: 2"]


def test_an_address_and_a_visitor_merge_into_one():
    """A sign-up that names both joins the newsletter reader and the visitor."""
    figures = fold(
        [
            traits({"email": "ann@x.example"}, title="Head of Data"),
            traits({"anonymous_id": "a"}, title="Intern", visits=1),
            traits({**ANN, "email": "ANN@x.example ", "anonymous_id": "a"}),
        ]
    )
    assert (figures["users"], figures["messages"]["merged"]) == (1, 1)
    assert figures["written"]["users"]["u-1"]["leadscore/summary"].startswith("Head of Data")


def test_a_known_person_is_never_merged_away():
    """Somebody with an external_id stays, and so does the identifier."""
    figures = fold([traits({**ANN, "anonymous_id": "a"}), traits({"external_id": "u-2", "anonymous_id": "a"})])
    assert figures["users"] == 2


def test_a_shared_address_means_the_oldest_known_person():
    """An e-mail that two known people have resolves to the first."""
    figures = fold(
        [
            traits({**ANN, "email": "office@x.example"}),
            traits({"external_id": "u-2", "email": "office@x.example"}),
            traits({"email": "office@x.example"}, plan="team"),
        ]
    )
    people = figures["written"]["users"]
    assert (people["u-1"]["leadscore/score"], people["u-2"]["leadscore/score"]) == (20, 0)


def test_an_account_by_domain_merges_into_the_one_with_a_number():
    """Users of the merged account belong to the survivor."""
    figures = fold(
        [
            {"as_account": {"external_id": "co-1"}, "traits": {"name": "Acme"}},
            {"as_user": ANN, "account": {"domain": "acme.example"}, "traits": {"employees": 60}},
            {"as_account": {"external_id": "co-1", "domain": "acme.example"}, "traits": {}},
        ]
    )
    assert (figures["accounts"], figures["messages"]["merged"]) == (1, 1)
    assert "at Acme" in figures["written"]["users"]["u-1"]["leadscore/summary"]
    assert figures["written"]["accounts"]["co-1"]["leadscore/tier"] == "small"


def test_ignores_what_cannot_be_done():
    """There is no company to write to, nobody to be created, and no id to take away."""
    figures = fold(
        [
            traits(ANN),
            {"as_user": ANN, "account": {}, "traits": {"employees": 60}},
            {"as_user": {"external_id": "u-9"}, "create": False, "traits": {}},
            {"as_user": ANN, "unalias": {"anonymous_id": "a"}},
        ]
    )
    assert figures["messages"] == {"applied": 1, "merged": 0, "ignored": 3, "failed": 0}
    assert (figures["users"], figures["accounts"]) == (1, 0)


def test_a_free_domain_names_no_company():
    """Two companies that gave the same free e-mail domain stay two, and neither is called by it."""
    figures = fold(
        [
            {
                "as_user": {"external_id": f"u-{n}"},
                "account": {"external_id": f"co-{n}", "domain": "gmail.com"},
                "traits": {},
            }
            for n in (1, 2)
        ]
    )
    assert figures["accounts"] == 2
    assert figures["written"]["users"]["u-1"]["leadscore/summary"] == "Unknown role, looked after by nobody yet"


def test_counts_and_casts():
    """Counters add up, later values take the first one's type, what cannot be cast clears."""
    counted = lead(
        traits(ANN, demo_requests={"operation": "inc"}), traits(ANN, demo_requests={"operation": "inc", "value": 2})
    )
    assert "demo requests: 3" in counted["leadscore/reasons"]
    assert lead(traits(ANN, visits=2), traits(ANN, visits="5"))["leadscore/reasons"] == ["visits: 5"]
    assert lead(traits(ANN, visits=2), traits(ANN, visits="many"))["leadscore/reasons"] == []
    assert lead(
        traits(ANN, plan={"operation": "setIfNull", "value": "team"}),
        traits(ANN, plan={"operation": "setIfNull", "value": "trial"}),
    )["leadscore/reasons"] == ["plan: team"]
    assert lead(traits(ANN, **{"Pl.an": "team"}))["leadscore/reasons"] == ["plan: team"]


def test_an_event_id_is_one_event():
    """The same event told twice counts once, also in segments."""
    seen = [track(ANN, "Report viewed", n) for n in "aab"]
    assert fold(seen)["events"] == 2
    assert fold(seen)["segments"]["Engaged people"] == {"entered": 0, "left": 0}
    assert fold([*seen, track(ANN, "Report viewed")])["segments"]["Engaged people"] == {"entered": 1, "left": 0}


def test_a_company_moves_its_people_in_and_out_of_segments():
    """A plan of the account decides where its people belong."""
    messages = [
        {"as_user": ANN, "account": {"domain": "acme.example"}, "traits": {"plan": plan}} for plan in ("team", "free")
    ]
    assert fold(messages)["segments"]["People of paying accounts"] == {"entered": 1, "left": 1}
