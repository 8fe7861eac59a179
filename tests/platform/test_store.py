"""Tables: indexes, uniqueness, and taking a unit of work back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hull_sdk.platform.store import Entity, Store


def user(number, **fields):
    """Return a user whose id and sequence are a number."""
    return Entity(kind="user", id=str(number), sequence=number, **fields)


def test_rows_are_found_by_each_identifier_oldest_first():
    """An index leads to its rows in the order of creation, whenever they were put."""
    users = Store().users
    users.put(user(2, handle="a@b.test"))
    users.put(user(1, former_handles=("a@b.test",), anonymous_ids=("v",)))
    assert [row.id for row in users.find("handle", "a@b.test")] == ["1", "2"]
    assert users.holder("anonymous_id", "v").id == "1"
    assert users.holder("anonymous_id", "w") is None
    assert users.holder("anonymous_id", None) is None
    users.remove("1")
    assert users.count("handle", "a@b.test") == 1


def test_a_unique_value_is_held_once():
    """Putting a second holder of a unique identifier is an error of the caller."""
    users = Store().users
    users.put(user(1, external_id="x"))
    with pytest.raises(RuntimeError, match="already held"):
        users.put(user(2, external_id="x"))


ROWS = st.builds(
    lambda number, x, a, h: user(number, external_id=x, anonymous_ids=() if a is None else (a,), handle=h),
    st.integers(1, 4),
    st.sampled_from([None, "x", "y"]),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, "h", "i"]),
)


def snapshot(table):
    """Return everything that can be asked of a table."""
    found = [(row.id, row) for row in table]
    index = [
        [row.id for row in table.find(name, value)]
        for name, value in [
            ("external_id", "x"),
            ("external_id", "y"),
            ("anonymous_id", "a"),
            ("anonymous_id", "b"),
            ("handle", "h"),
            ("handle", "i"),
        ]
    ]
    return found, index


def put_all(table, rows):
    """Put rows, removing the one before when a unique value is taken."""
    for row in rows:
        try:
            table.put(row)
        except RuntimeError:
            if table.get(row.id) is not None:
                table.remove(row.id)


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(st.lists(ROWS, max_size=6), st.lists(ROWS, max_size=6))
def test_a_rollback_restores_rows_and_indexes(kept, tried):
    """Whatever a unit of work put or removed, taking it back leaves the table as it was at the commit."""
    table = Store().users
    put_all(table, kept)
    table.commit()
    before = snapshot(table)
    put_all(table, tried)
    table.rollback()
    assert snapshot(table) == before
    assert table.touched == []
