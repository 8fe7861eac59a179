"""The garbage collector of a process that keeps much for long."""

from __future__ import annotations

import gc
import weakref

import pytest

from hull_sdk.core.collector import freeze_survivors, thaw


class Node:
    """Something that may be part of a cycle."""


@pytest.fixture
def frozen():
    """A process whose survivors are left out; afterwards only what the run began with is, as before."""
    gc.unfreeze()
    freeze_survivors()
    yield
    thaw()
    gc.freeze()


def test_what_survives_a_full_collection_is_left_out_of_the_next(frozen):
    """After a full collection nothing is left to look at, until something new is made."""
    gc.collect()
    assert gc.get_freeze_count() > 1000
    assert len(gc.get_objects(generation=2)) == 0


def test_what_is_left_out_is_freed_when_nobody_uses_it(frozen):
    """An object without cycles ends with its last reference, frozen or not."""
    node = Node()
    gc.collect()
    seen = weakref.ref(node)
    del node
    assert seen() is None


def test_new_cycles_are_collected(frozen):
    """What is made later, a cycle too, is collected as ever."""
    gc.collect()
    node = Node()
    node.own, seen = node, weakref.ref(node)
    del node
    gc.collect()
    assert seen() is None


def test_thawing_ends_it(frozen):
    """Afterwards the collector looks at everything again, and freezes nothing."""
    callbacks = len(gc.callbacks)
    freeze_survivors()
    assert len(gc.callbacks) == callbacks
    node = Node()
    gc.collect()  # leaves it out
    thaw()
    gc.collect()
    # Python 3.12 leaves out what is never freed by itself, so that their number says nothing.
    assert any(each is node for each in gc.get_objects(generation=2))
