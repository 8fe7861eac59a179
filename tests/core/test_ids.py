"""Ids: their forms, and that seeded ones repeat."""

from __future__ import annotations

import os
import random
import re
import threading
import uuid

import pytest

from hull_sdk.core.ids import DerivedIds, Ids, SeededIds, SystemIds, is_object_id

SOURCES = [SystemIds, SeededIds]


@pytest.mark.parametrize("source", SOURCES)
def test_ids_have_the_forms_of_the_wire(source):
    """Every source gives version 4 UUIDs, 24 and 32 hexadecimal characters, and numbers below one."""
    ids: Ids = source()
    assert uuid.UUID(ids.uuid()).version == 4
    assert re.fullmatch(r"[0-9a-f]{24}", ids.object_id())
    assert is_object_id(ids.object_id())
    assert not is_object_id(ids.secret())
    assert re.fullmatch(r"[0-9a-f]{32}", ids.secret())
    assert 0.0 <= ids.random() < 1.0


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("method", ["uuid", "object_id", "secret", "random"])
def test_ids_do_not_repeat_within_one_source(source, method):
    """A thousand ids of one source are a thousand different ones."""
    ids = source()
    assert len({getattr(ids, method)() for _ in range(1000)}) == 1000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_takes_none_of_its_parents_ids():
    """Ids are made many at a time; after a fork the child makes its own, so that none comes twice."""
    ids = SystemIds()
    ids.uuid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, " ".join(ids.uuid() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 10_000).decode().split()
    os.close(reading)
    os.close(writing)
    assert len({*theirs, *(ids.uuid() for _ in range(100))}) == 200


def sequence(seed: int) -> list[object]:
    """Return the first ids of a seeded source."""
    ids = SeededIds(seed)
    return [ids.uuid(), ids.object_id(), ids.secret(), ids.random(), ids.uuid()]


def test_the_same_seed_gives_the_same_sequence():
    """Two sources of one seed agree, also in mixed calls; another seed gives other ids."""
    assert sequence(7) == sequence(7)
    assert sequence(7) != sequence(8)


@pytest.mark.parametrize("seed", range(20))
def test_seeded_uuids_are_those_of_the_standard_library(seed):
    """A seeded UUID is the one that the standard library makes of the same random number."""
    number = random.Random(seed).getrandbits(128)
    assert SeededIds(seed).uuid() == str(uuid.UUID(int=number, version=4))


def test_derived_ids_are_the_same_for_the_same_work():
    """Work that is done again gets its ids again, in order, and other work or other content gets others."""
    first, again, other = DerivedIds("m-1"), DerivedIds("m-1"), DerivedIds("m-2")
    ids = [first.uuid(b"a"), first.uuid(b"b"), first.uuid(b"a")]
    assert [again.uuid(b"a"), again.uuid(b"b"), again.uuid(b"a")] == ids
    assert len({*ids, other.uuid(b"a"), other.uuid(b"b")}) == 5
    assert {uuid.UUID(each).version for each in ids} == {5}


def test_derived_ids_are_all_different_in_many_threads():
    """Equal contents that several threads ask for at a time get as many ids as there were questions."""
    ids, found = DerivedIds("m-1"), []
    threads = [threading.Thread(target=lambda: found.extend(ids.uuid(b"a") for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 4000
