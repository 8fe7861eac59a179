"""Random claims, played to the platform and to a naive model.

Strategies are made once: hypothesis spends more on a new one than on drawing from it.
"""

from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingestion_kit import Bench
from naive_identity import Naive

#: 500 by default, always the same; 10,000 new ones each night.
PLAYED = settings(max_examples=max(500, 2 * settings().max_examples), suppress_health_check=[HealthCheck.too_slow])
HANDLE = {"user": "email", "account": "domain"}
KINDS = ("user", "account")


@cache
def aliases(pool=""):
    """Return a strategy of anonymous ids."""
    return st.sampled_from([f"{pool}a{n}" for n in (1, 2, 3)])


@cache
def claims(kind, pool="", with_ids=True):
    """Return a strategy of claim sets over a few identifiers; handles come most often, ids seldom."""
    external_ids, handles = [f"{pool}x1", f"{pool}x2"], [f"{pool}h{n}.{kind}.test" for n in (1, 2)]
    shapes = [
        "h",
        "h",
        "a",
        "a",
        "x",
        "ha",
        "ha",
        "xh",
        "xh",
        "xa",
        "xha",
        *(["i", "ix", "ix", "ixa", "ixa", "iha"] if with_ids else []),
    ]
    values = {
        "x": ("external_id", st.sampled_from(external_ids)),
        "h": ("handle", st.sampled_from(handles)),
        "a": ("anonymous_id", aliases(pool)),
        "i": ("id", st.integers(0, 2)),
    }
    drawn = {shape: st.fixed_dictionaries(dict(values[each] for each in shape)) for shape in shapes}
    return st.sampled_from(shapes).flatmap(drawn.__getitem__)


@cache
def bodies(pool="", kind="user"):
    """Return a strategy of traits bodies."""
    return st.fixed_dictionaries(
        {"plan": st.sampled_from(["free", "pro", None])},
        optional={
            "handle": st.sampled_from([f"{pool}h{n}.{kind}.test" for n in (1, 2)]),
            "seats": st.integers(1, 3),
        },
    )


SUBJECTS = st.sampled_from(
    [("user", "u")] * 6 + [("user", "ua"), ("account", "ua"), ("account", "a"), ("account", "u")]
)
MESSAGE_KINDS = st.sampled_from(["traits", "traits", "traits", "traits", "alias", "unalias"])
CREATES = st.sampled_from([True] * 6 + [False])


@st.composite
def messages(draw, pool="", with_ids=True):
    """Draw one message."""
    subject, named = draw(SUBJECTS)
    kind = draw(MESSAGE_KINDS)
    return {
        "kind": kind,
        "subject": subject,
        "user": draw(claims("user", pool, with_ids)) if "u" in named else None,
        "account": draw(claims("account", pool, with_ids)) if "a" in named else None,
        "body": draw(bodies(pool, subject) if kind == "traits" else aliases(pool)),
        "create": draw(CREATES),
    }


class Table:
    """Both sides, and who was created on each in which order."""

    def __init__(self):
        self.bench = Bench()
        self.naive = Naive()
        self.created = {kind: ([], []) for kind in KINDS}

    def play(self, message):
        self._play_real(message)
        self._play_naive(message)
        for kind in KINDS:
            ours, theirs = self.created[kind]
            ours += [e.id for e in self.bench.organization.entities(kind) if e.id not in ours]
            theirs += [t.number for t in self.naive.things[kind] if t.number not in theirs]
            assert len(ours) == len(theirs)

    def _real(self, kind, given):
        if given is None:
            return None
        named = {HANDLE[kind] if name == "handle" else name: value for name, value in given.items()}
        if "id" in named:
            ours = self.created[kind][0]
            named["id"] = ours[named["id"]] if named["id"] < len(ours) else "nobody"
        return named

    def _naive(self, kind, given):
        if given is None or "id" not in given:
            return given
        theirs = self.created[kind][1]
        return {**given, "id": theirs[given["id"]] if given["id"] < len(theirs) else -1}

    def _play_real(self, message):
        play_real(self.bench, message, self._real("user", message["user"]), self._real("account", message["account"]))

    def _play_naive(self, message):
        naive, kind = self.naive, message["subject"]
        user, account = self._naive("user", message["user"]), self._naive("account", message["account"])
        if message["kind"] == "unalias":
            naive.unalias(user, account, kind, message["body"])
            return
        subject = naive.subject(user, account, kind, message["create"])
        if subject is None:
            return
        if message["kind"] == "traits":
            naive.traits(kind, subject, message["body"])
        else:
            naive.alias(kind, subject, message["body"])


def play_real(bench, message, user, account):
    """Send a drawn message to the platform."""
    body = message["body"]
    if message["kind"] == "traits":
        body = {HANDLE[message["subject"]] if name == "handle" else name: value for name, value in body.items()}
    else:
        body = {"anonymous_id": body}
    create = {} if message["create"] else {"create": False}
    record = bench.send(message["kind"], body, user=user, account=account, subject=message["subject"], **create)
    assert record.reason is None or "internal error" not in record.reason


def partition(bench, kind):
    """Return the identifiers of each entity."""
    return sorted(
        (
            entity.external_id or "",
            entity.handle or "",
            sorted(set(entity.former_handles) - {entity.handle}),
            sorted(entity.anonymous_ids),
        )
        for entity in bench.organization.entities(kind)
    )


def contents(bench, kind):
    """Return each entity with its values and its account, without generated ids."""
    accounts = {entity.id: entity for entity in bench.accounts()}
    return sorted(
        repr(
            (
                entity.external_id,
                entity.handle,
                sorted(entity.anonymous_ids),
                sorted((name, value) for name, value in entity.attributes.items() if name != "created_at"),
                None
                if entity.account_id is None
                else (accounts[entity.account_id].external_id, accounts[entity.account_id].handle),
            )
        )
        for entity in bench.organization.entities(kind)
    )


def check_identifiers(bench, unmergeable):
    """Assert that no identifier is on two entities of a kind, and that nobody with an external_id is gone."""
    for kind in KINDS:
        entities = bench.organization.entities(kind)
        held = [e.id for e in entities] + [e.external_id for e in entities if e.external_id]
        held += [each for e in entities for each in e.anonymous_ids]
        assert len(held) == len(set(held))
        assert unmergeable[kind] <= {e.id for e in entities}


@PLAYED
@given(st.lists(messages(), min_size=5, max_size=16))
def test_the_platform_and_the_naive_model_agree_on_who_is_who(drawn):
    """Claims lead to the entities that the plain rules say; none shares an identifier or loses its external_id."""
    table = Table()
    for message in drawn:
        organization = table.bench.organization
        unmergeable = {kind: {e.id for e in organization.entities(kind) if not e.mergeable} for kind in KINDS}
        table.play(message)
        check_identifiers(table.bench, unmergeable)
        for kind in KINDS:
            assert partition(table.bench, kind) == table.naive.partition(kind)
            assert contents(table.bench, kind) == table.naive.contents(kind)


def normalized(bench):
    """Return the state without generated ids and without the order of creation."""
    owners = {user.id: (user.external_id, user.handle, sorted(user.anonymous_ids)) for user in bench.users()}
    events = sorted(
        repr(
            (
                event["event"],
                owners[event["user_id"]],
                sorted((k, v) for k, v in event["properties"].items() if k != "id"),
            )
        )
        for event in bench.events()
    )
    members = sorted((segment["name"], segment["stats"]["users"]) for segment in bench.organization.users_segments())
    return [contents(bench, kind) for kind in KINDS], events, members, bench.organization.record_counts


def prepared():
    """Return an organization whose attribute types are declared, with a segment."""
    bench = Bench()
    for kind in KINDS:
        bench.organization.declare_attribute(kind, "plan", "string")
        bench.organization.declare_attribute(kind, "seats", "number")
    bench.organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}})
    return bench


@st.composite
def tracks(draw, pool):
    """Draw a track message; its event id is given when it is played."""
    return {"kind": "track", "user": draw(claims("user", pool, with_ids=False)), "account": None}


def named(kind, given):
    """Return claims with the handle under its name."""
    return None if given is None else {HANDLE[kind] if k == "handle" else k: v for k, v in given.items()}


def play_all(numbered):
    """Play messages on a fresh organization and return its normalized state."""
    bench = prepared()
    for number, message in numbered:
        user, account = named("user", message["user"]), named("account", message["account"])
        if message["kind"] == "track":
            bench.track(user, "Seen", event_id=f"e{number}")
        else:
            play_real(bench, message, user, account)
    return normalized(bench)


@PLAYED
@given(
    st.lists(
        st.one_of(
            *(st.tuples(st.just(pool), st.one_of(messages(pool, with_ids=False), tracks(pool))) for pool in "pq")
        ),
        min_size=4,
        max_size=14,
    )
)
def test_messages_that_share_no_identifier_commute(drawn):
    """Two streams without a common identifier give the same state however they are interleaved."""
    numbered = [(pool, (number, message)) for number, (pool, message) in enumerate(drawn)]
    apart = sorted(numbered, key=lambda item: item[0])
    assert play_all([item for _, item in numbered]) == play_all([item for _, item in apart])
