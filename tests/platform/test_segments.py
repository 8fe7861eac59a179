"""Entering and leaving segments, and what is told of it."""

import pytest
from ingestion_kit import Bench

from hull_sdk.errors import InvalidArgumentError

PROS = {"term": {"traits_plan.raw": "pro"}}


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


def segment(bench, name="Pros", kind="user", **definition):
    """Create a segment and return its id."""
    return bench.organization.create_segment(kind, name, **(definition or {"query": PROS}))["id"]


def test_a_change_enters_and_leaves(bench):
    """Membership follows the attribute, is counted, and is published with an event of its own."""
    pros = segment(bench)
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro"})
    assert bench.names(email="ann@acme.test") == ["Pros"]
    bench.changes.clear()
    bench.traits({"email": "ann@acme.test"}, {"plan": "free"})
    (change,) = bench.changes
    assert (change.before.segment_ids, change.after.segment_ids) == ((pros,), ())
    assert change.after.report["segment_ids"] == []
    assert [(event["event"], event["properties"]) for event in change.events] == [
        ("Segments changed", {"left": ["Pros"]})
    ]
    assert bench.organization.segment_transitions == {pros: {"entered": 1, "left": 1}}


def test_creating_a_segment_evaluates_everybody(bench):
    """Who matches already enters at once, which counts and is published."""
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro"})
    bench.traits({"email": "bob@acme.test"}, {"plan": "free"})
    bench.changes.clear()
    pros = segment(bench)
    assert [change.entity_id for change in bench.changes] == [bench.user(email="ann@acme.test").id]
    assert bench.organization.users_segments()[0]["stats"] == {"users": 1}
    assert bench.organization.segment_transitions[pros] == {"entered": 1, "left": 0}


def test_a_segment_has_the_shape_of_the_wire(bench):
    """A segment lists its fields; the short form has the five that notifications carry."""
    tree = {"type": "all", "predicates": []}
    full = bench.organization.create_segment("account", " All ", predicate=tree, id="s1")
    assert {key: full[key] for key in ("id", "name", "type", "predicate", "stats")} == {
        "id": "s1",
        "name": "All",
        "type": "accounts_segment",
        "predicate": tree,
        "stats": {"accounts": 0},
    }
    assert "constant_score" in full["query"]
    assert list(bench.organization.segment("s1").to_wire()) == ["id", "name", "type", "created_at", "updated_at"]
    assert bench.organization.users_segments() == []
    assert bench.organization.accounts_segments() == [full]


def test_user_segments_follow_the_account(bench):
    """A change of the account re-evaluates its users, also when they are linked to another one."""
    segment(bench, query={"term": {"account.tier.raw": "gold"}})
    bench.traits({"email": "ann@acme.test"}, account={"domain": "acme.test"})
    bench.account_traits({"domain": "acme.test"}, {"tier": "gold"})
    assert bench.names(email="ann@acme.test") == ["Pros"]
    bench.traits({"email": "ann@acme.test"}, account={"domain": "other.test"})
    assert bench.names(email="ann@acme.test") == []


def test_user_segments_follow_the_events(bench):
    """A tracked event enters; an event that moves to another user takes the membership along."""
    segment(bench, predicate={"type": "all", "predicates": [{"event": "Ordered"}]})
    bench.track({"external_id": "1"}, "Ordered", event_id="e1")
    assert bench.names(external_id="1") == ["Pros"]
    bench.track({"external_id": "2"}, "Ordered", event_id="e1")
    assert (bench.names(external_id="1"), bench.names(external_id="2")) == ([], ["Pros"])


def test_account_segments_reach_the_users(bench):
    """Accounts have segments of their own; their users' views name them, and no event is made of it."""
    golden = segment(bench, "Golden", "account", query={"term": {"tier.raw": "gold"}})
    bench.traits({"email": "ann@acme.test"}, account={"domain": "acme.test"})
    bench.account_traits({"domain": "acme.test"}, {"tier": "gold"})
    account, user = bench.changes[-2:]
    assert account.after.segment_ids == account.after.account_segment_ids == (golden,)
    assert (user.after.segment_ids, user.after.account_segment_ids) == ((), (golden,))
    assert user.after.account_report["segment_ids"] == [golden]
    assert bench.events("Segments changed") == []


def test_a_merged_user_vanishes_without_an_exit(bench):
    """The memberships of an absorbed user are not counted as left."""
    pros = segment(bench)
    bench.traits({"anonymous_id": "a"}, {"plan": "pro"})
    bench.traits({"external_id": "1"})
    bench.traits({"external_id": "1", "anonymous_id": "a"})
    assert bench.names(external_id="1") == ["Pros"]
    assert bench.organization.segment_transitions[pros] == {"entered": 2, "left": 0}


def test_time_alone_can_end_a_membership(bench):
    """Segments with relative dates are decided anew on demand; the others are left alone."""
    recent = segment(bench, "Recent", predicate={"type": "all", "predicates": [{"event": "Ordered", "within": "30d"}]})
    bench.track({"external_id": "1"}, "Ordered")
    assert bench.organization.reevaluate() == 0
    bench.runtime.clock.move_to(31 * 86_400.0)
    bench.changes.clear()
    assert bench.organization.reevaluate() == 1
    assert bench.organization.segment_transitions[recent] == {"entered": 1, "left": 1}
    assert bench.changes[0].events[0]["properties"] == {"left": ["Recent"]}


def test_nothing_is_reevaluated_without_relative_dates(bench):
    """Without a segment that depends on time there is nothing to do."""
    segment(bench)
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro"})
    assert bench.organization.reevaluate() == 0


def test_a_segment_can_be_replaced_and_removed(bench):
    """Under the same id a segment takes a new definition; removed, everybody leaves it."""
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro"})
    told = []
    bench.organization.on_segment_change(lambda action, found: told.append((action, found.name)))
    bench.organization.create_segment("user", "Pros", query=PROS, id="s1")
    bench.organization.create_segment("user", "Frees", query={"term": {"traits_plan.raw": "free"}}, id="s1")
    assert bench.names(email="ann@acme.test") == []
    bench.organization.create_segment("user", "All", query={}, id="s1")
    assert bench.organization.delete_segment("s1")
    assert not bench.organization.delete_segment("s1")
    assert bench.user(email="ann@acme.test").segment_ids == ()
    assert bench.events("Segments changed")[-1]["properties"] == {"left": ["All"]}
    assert told == [("update", "Pros"), ("update", "Frees"), ("update", "All"), ("delete", "All")]


@pytest.mark.parametrize(
    ("kind", "name", "definition", "named"),
    [
        ("user", "", {"query": {}}, "name"),
        ("user", "A", {}, "predicate or a query"),
        ("user", "A", {"query": {}, "predicate": {}}, "not both"),
        ("robot", "A", {"query": {}}, "robot"),
        ("user", "A", {"query": {"near": {}}}, "'near'"),
        ("account", "A", {"query": {"has_child": {"type": "event", "query": {}}}}, "no events"),
    ],
)
def test_a_bad_segment_is_refused_whole(bench, kind, name, definition, named):
    """A segment that cannot be read is refused by name, and nothing is created."""
    with pytest.raises(InvalidArgumentError, match=named):
        bench.organization.create_segment(kind, name, **definition)
    assert bench.organization.users_segments() == bench.organization.accounts_segments() == []


def test_an_id_belongs_to_one_kind(bench):
    """The id of a segment of users cannot be taken by one of accounts."""
    bench.organization.create_segment("user", "A", query={}, id="s1")
    with pytest.raises(InvalidArgumentError, match="users"):
        bench.organization.create_segment("account", "B", query={}, id="s1")


CONTEXTS = {
    "Priced": {"query": {"has_child": {"type": "event", "query": {"term": {"context.page_path.raw": "/pricing"}}}}},
    "Mailed": {
        "predicate": {
            "type": "all",
            "predicates": [
                {
                    "event": "Seen",
                    "context": [
                        {"property": {"key": "campaign_source"}, "operator": "equals", "options": {"value": ["mail"]}}
                    ],
                }
            ],
        }
    },
}


def test_segments_look_at_the_contexts_of_events(bench):
    """Users enter by where an event happened, in a query and in a predicate, at once and when the segment is made."""
    segment(bench, "Priced", **CONTEXTS["Priced"])
    bench.track({"external_id": "1"}, "Seen", url="https://acme.test/pricing?utm_source=mail")
    bench.track({"external_id": "2"}, "Seen", url="https://acme.test/about")
    segment(bench, "Mailed", **CONTEXTS["Mailed"])
    assert bench.names(external_id="1") == ["Priced", "Mailed"]
    assert bench.names(external_id="2") == []


class Breaking:
    """A table of users that breaks when the last of some users is written."""

    def __init__(self, table):
        self.put, self.left = table.put, 2

    def __call__(self, row):
        self.left -= 1
        if not self.left:
            raise MemoryError("the machine is full")
        return self.put(row)


@pytest.mark.parametrize(
    "change",
    [
        lambda organization: organization.create_segment("user", "Frees", query={"term": {"traits_plan.raw": "free"}}),
        lambda organization: organization.create_segment("user", "Other", query={}, id="s1"),
        lambda organization: organization.update_segment("s1", {"name": "Fewer", "query": {"ids": {"values": []}}}),
        lambda organization: organization.delete_segment("s1"),
        lambda organization: organization.hide_attribute("user", "plan"),
    ],
)
def test_a_change_of_segments_that_breaks_halfway_changes_nothing(bench, monkeypatch, change):
    """Segments, their members, counts, what is hidden and what connectors were told stay, and the next try works."""
    organization = bench.organization
    organization.create_segment("user", "Pros", query=PROS, id="s1")
    for number, plan in enumerate(["pro", "free", "pro", "free"]):
        bench.traits({"external_id": str(number)}, {"plan": plan})
    bench.changes.clear()
    told = []
    organization.on_segment_change(lambda *news: told.append(news))
    before = organization.state()
    with monkeypatch.context() as broken:
        users = organization._store.users
        broken.setattr(users, "put", Breaking(users))
        with pytest.raises(MemoryError):
            change(organization)
    assert (organization.state(), bench.changes, told) == (before, [], [])
    change(organization)
    assert organization.state() != before
    assert bench.changes
