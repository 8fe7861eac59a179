"""Everything that the Node generation offers is found here, and shown by a test, or said to be left out."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from functools import reduce
from typing import Any, get_type_hints

from marked_tests import marks, misplaced_marks
from node_features import (
    PAGE_FILE,
    SECTIONS,
    Entry,
    data_keys,
    entries,
    group_of,
    keys,
    render_page,
)

import hull_sdk
from hull_sdk import Client, Context, handlers, service
from hull_sdk.client import entities as client_entities
from hull_sdk.context.response import SmartNotifierResponse
from hull_sdk.infra import Queue

NAME = re.compile(r"(?P<path>[A-Za-z_][\w.]*)(?:\((?P<option>\w+)=\))?")

#: Where names without a module are looked for.
PLACES = (hull_sdk, handlers, service, client_entities)
#: Attributes of the context that are no properties, and have parts.
ATTRIBUTES = {"smart_notifier_response": SmartNotifierResponse}
#: What takes its options from another function.
FORWARDED = {"ctx.enqueue": Queue.enqueue}


def test_every_feature_is_shown_or_left_out_for_a_reason():
    """A key has a test that carries its mark, or says why it is not carried over, and never both."""
    shown, known = set(marks("shows")), entries()
    dropped = {key for key, entry in known.items() if entry.dropped}
    assert [key for key in keys() if key not in shown | dropped] == []
    assert sorted(shown & dropped) == []


def test_marks_name_features_that_exist():
    """A mark stands on a test, and names a key of the list."""
    assert sorted(set(marks("shows")) - set(keys())) == []
    assert misplaced_marks("shows") == []


def test_every_feature_has_a_name_here():
    """Each key has one entry, each entry a key; an entry has our name or the reason why there is none."""
    known = entries()
    assert sorted(set(keys()) - set(known)) == []
    assert sorted(set(known) - set(keys())) == []
    assert [key for key, entry in known.items() if (entry.ours == "") == (entry.dropped == "")] == []


def test_every_group_of_keys_has_its_section():
    """No key is left off the page for want of a section."""
    assert {group_of(key) for key in keys()} == set(SECTIONS)
    assert len(keys()) == len(set(keys()))


def test_the_list_holds_what_packages_cannot_be_asked_for():
    """Options, context, headings and manifest keys stand in the list as the script has them."""
    assert keys()[-len(data_keys()) :] == data_keys()


def test_our_names_exist():
    """What the page says to use can be reached, options included."""
    missing = {key: entry.ours for key, entry in entries().items() if not exists(key, entry)}
    assert missing == {}


def test_the_page_is_up_to_date():
    """The page holds what keys, marks and names give; WRITE_NODE_TABLE=1 writes it anew."""
    if os.environ.get("WRITE_NODE_TABLE"):
        PAGE_FILE.write_text(render_page(), encoding="utf-8")
    assert PAGE_FILE.read_text(encoding="utf-8") == render_page()


def exists(key: str, entry: Entry) -> bool:
    """Tell whether our name of a feature can be reached."""
    if entry.dropped or group_of(key).startswith(("manifest", "channel")):
        return True
    match = NAME.match(entry.ours)
    assert match is not None
    try:
        found = FORWARDED.get(match["path"]) or find(match["path"])
        return match["option"] is None or match["option"] in inspect.signature(found).parameters
    except (AttributeError, ImportError):
        return False


def find(path: str) -> Any:
    """Return what a dotted name stands for."""
    root, *names = path.split(".")
    if root == "ctx":
        return find_in_context(names)
    if root == "hull_sdk":
        return reduce(getattr, names[1:], importlib.import_module(f"hull_sdk.{names[0]}"))
    return reduce(getattr, names, starting_point(root))


def find_in_context(names: list[str]) -> Any:
    """Return what a name on the context stands for: for properties what they return, for attributes their class."""
    name, *rest = names
    member = vars(Context).get(name)
    if isinstance(member, property) and rest:
        member = get_type_hints(member.fget)["return"]
    elif member is None and re.search(rf"\bself\.{name}\b.*=", inspect.getsource(Context.__init__)):
        member = ATTRIBUTES.get(name, object())
    elif member is None:
        raise AttributeError(name)
    return reduce(getattr, rest, member)


def starting_point(root: str) -> Any:
    """Return what the first part of a name stands for."""
    if root == "client":
        return Client(id="5c0a1b2c3d4e5f6071829304", secret="made-up", organization="acme.hullapp.io")
    return next(found for place in PLACES if (found := getattr(place, root, None)) is not None)
