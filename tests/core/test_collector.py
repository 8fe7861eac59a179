"""The garbage collector of a process that keeps much for long."""

from __future__ import annotations

import gc
import weakref

import pytest

from hull_sdk.core.collector import freeze_survivors, looking_rarely, thaw


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


@pytest.fixture
def threshold():
    """Sets how often the collector looks; as before afterwards."""
    before = gc.get_threshold()
    yield gc.set_threshold
    gc.set_threshold(*before)


def test_it_looks_rarely_within_and_as_before_afterwards(threshold):
    """Within, and after one within another, more has to come up before the collector looks; afterwards as before."""
    threshold(700, 10, 10)
    with looking_rarely():
        with looking_rarely():
            pass
        assert gc.get_threshold() == (10_000, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


def test_it_looks_as_before_after_an_error_too(threshold):
    """An error of the work leaves the collector as it was."""
    threshold(700, 10, 10)
    with pytest.raises(ZeroDivisionError), looking_rarely():
        raise ZeroDivisionError
    assert gc.get_threshold() == (700, 10, 10)


def test_cycles_are_found_within_when_it_is_told_to_look():
    """A test for leaks that calls the collector finds them as ever."""
    node = Node()
    node.own, seen = node, weakref.ref(node)
    with looking_rarely():
        del node
        gc.collect()
        assert seen() is None


@pytest.mark.parametrize("own", [(0, 10, 10), (20_000, 5, 5)])
def test_who_has_it_look_rarely_or_never_keeps_that(threshold, own):
    """A collector that was switched off, or looks less often, is left alone."""
    threshold(*own)
    with looking_rarely():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_what_is_set_within_stays(threshold):
    """Who sets the collector otherwise within, as a handler may, finds it so afterwards."""
    threshold(700, 10, 10)
    with looking_rarely():
        gc.set_threshold(900, 10, 10)
    assert gc.get_threshold() == (900, 10, 10)
