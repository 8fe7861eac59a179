"""Good documents with something spoiled in them, which get further than noise does, and noise.

An example is made from one number: drawing each part of it by itself takes ten times as long, and a failure shows the
whole example anyway.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

#: Examples for each parser, when ``nox -s nightly`` asks for many, and else.
NIGHTLY_EXAMPLES = 20_000
EXAMPLES = 150

#: How much each parser is tried: decorates a test with ``given``.
fuzzed = settings(max_examples=NIGHTLY_EXAMPLES if settings().max_examples > 1000 else EXAMPLES)

#: What parsers trip over.
JUNK = [
    None, True, False, 0, -1, 1.5, -0.0, 1e308, 2**53 + 1, 2**70, -(2**70), 10**400,
    "", " ", "\x00", "\ud800", "\u202e", "a\r\nb: c", "x" * 3000, "é" * 300, "[", "[[", "{{", "%s", "../../etc/passwd",
    "now", "now-1d", "now-99999999d", "9999-12-31T23:59:59Z", "0000-00-00", "2024-01-05", "-1", "1e999", "NaN", "true",
    "http://[", "https://a@b", "*", "a.b.c", "$ne", "__proto__", "traits_", "/", "io.hull.asUser", "(", "a" * 40 + "*",
    [], {}, [[]], [None], [{}], ["a", 1, None], {"": ""}, {"a": {"b": {}}}, {"operation": "inc", "value": "x"},
    [[[[[[[[[[]]]]]]]]]], {"type": "all", "predicates": None}, {"gte": []}, {"value": {"value": {}}},
]  # fmt: skip

LETTERS = 'aZ09 _-./:@$%*?[]{}()"\\,\n\x00\x7fé€😀\ud800'
WAYS = ("replace", "replace", "replace", "remove", "wrap", "rename", "double")
BYTES = (b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\x00", b"\xff", b".", b"=", b"-", b"1e999", b"null")


def made(make: Callable[[random.Random], Any]) -> st.SearchStrategy[Any]:
    """Return a strategy whose examples are made from a number each."""
    return st.integers(0, 2**62).map(lambda number: make(random.Random(number)))


def spoiled(good: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Draw one of some good documents with one to three of its parts replaced, left out, wrapped, doubled or renamed."""
    return made(lambda chance: _spoiled(chance, good))


def broken(good: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Draw the bytes of one of some good files with a few cut, doubled, turned or put in; or noise."""
    return made(lambda chance: _broken(chance, good))


def encoded(good: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """Draw JSON text: spoiled documents, and good ones whose bytes are broken."""
    texts = [json.dumps(each).encode() for each in good]
    return st.one_of(spoiled(good).map(lambda value: json.dumps(value).encode()), broken(texts))


def only(errors: Any, function: Any, *args: Any, **options: Any) -> Any:
    """Call a parser; of all errors it may raise these only, and they have a text."""
    try:
        return function(*args, **options)
    except errors as err:
        text = str(err)
    assert text
    return None


def _spoiled(chance: random.Random, good: Sequence[Any]) -> Any:
    value = copy.deepcopy(chance.choice(good))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return _piece(chance)
        _spoil(chance, *chance.choice(places))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _spoil(chance: random.Random, where: Any, key: Any) -> None:
    way = chance.choice(WAYS)
    if way == "remove":
        del where[key]
    elif way == "wrap":
        where[key] = chance.choice(([where[key]], {"a": where[key]}))
    elif way == "rename" and isinstance(where, dict):
        where[_text(chance)] = where.pop(key)
    elif way == "double" and isinstance(where, list):
        where.append(copy.deepcopy(where[key]))
    else:
        where[key] = _piece(chance)


def _piece(chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.6:
        return copy.deepcopy(chance.choice(JUNK))
    if kind < 0.7:
        return chance.randint(-(10**6), 10**16)
    return _text(chance)


def _text(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randint(0, 9)))


def _broken(chance: random.Random, good: Sequence[bytes]) -> bytes:
    if chance.random() < 0.1:
        return chance.randbytes(chance.randint(0, 200))
    data = bytearray(chance.choice(good))
    for _ in range(chance.randint(1, 4)):
        at, way = chance.randint(0, len(data)), chance.randint(0, 9)
        if way < 2:
            del data[at : at + chance.randint(1, 9)]
        elif way < 4 and at < len(data):
            data[at] = chance.randint(0, 255)
        elif way < 8:
            data[at:at] = chance.choice(BYTES)
        elif way < 9:
            data[at:at] = data[at : at + 20]
        else:
            del data[at:]
    return bytes(data)
