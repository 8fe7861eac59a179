"""Files of rows: the same rows wherever a transfer cuts the file."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.wire.rows import (
    csv_columns,
    in_parts,
    plain_chunks,
    read_rows,
    read_sized_rows,
    write_csv,
    write_json,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(TEXT, VALUES, max_size=4), max_size=6)
NAMES = st.sampled_from(["email", "näme", "traits_a,b", 'traits_"q"', "traits_x\ny"])
PLACES = st.lists(st.integers(0, 10_000))
REPORTS = st.lists(
    st.fixed_dictionaries(
        {"id": TEXT.filter(bool), "segment_ids": st.lists(TEXT), "text": TEXT | st.none()},
        optional={"account": st.dictionaries(NAMES, TEXT, min_size=1)},
    ),
    min_size=1,
)


def cut(data, places):
    """Return data cut at some places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def one_by_one(data):
    """Return data cut at every byte."""
    return [data[at : at + 1] for at in range(len(data))]


@given(ROWS, st.sampled_from(["lines", "crlf", "joined", "array", "pretty"]), st.lists(st.integers(0, 10_000)))
def test_json_gives_the_same_rows_however_it_is_cut(rows, layout, places):
    """Lines, objects one after the other and one array give their objects, wherever the transfer cuts them."""
    texts = [json.dumps(row, ensure_ascii=False, indent=2 if layout == "pretty" else None) for row in rows]
    text = {
        "lines": "\n".join(texts),
        "crlf": "".join(f"{each}\r\n" for each in texts),
        "joined": "".join(texts),
        "array": f" [{' , '.join(texts)}]\n",
        "pretty": "\ufeff" + "\n".join(texts),
    }[layout]
    assert list(read_rows(cut(text.encode(), places), "json")) == rows


@given(
    st.lists(st.tuples(st.dictionaries(TEXT, VALUES, max_size=3), st.sampled_from(["\n", "", " ", "\r\n\n"]))), PLACES
)
def test_lines_and_other_layouts_may_be_mixed(rows, places):
    """Whatever stands between two objects, a file gives the same rows, with sizes that fit into it."""
    text = "".join(json.dumps(row) + end for row, end in rows)
    found = list(read_sized_rows(cut(text.encode(), places), "json"))
    assert [row for row, _ in found] == [row for row, _ in rows]
    assert sum(size for _, size in found) <= len(text)


@pytest.mark.parametrize(("max_rows", "max_bytes"), [(2, 1000), (100, 25), (100, 1)])
def test_parts_end_by_number_or_by_size(max_rows, max_bytes):
    """A part ends with its last row or with the row that fills its bytes; a row that is larger goes alone."""
    rows = [({"n": number}, 10) for number in range(7)]
    sizes = [len(part) for part in in_parts(rows, max_rows, max_bytes)]
    limit = min(max_rows, -(-max_bytes // 10))
    assert (sum(sizes), max(sizes), set(sizes[:-1])) == (7, limit, {limit})


def test_a_part_asks_for_no_more_rows_than_it_needs():
    """Rows of the next part are not read while this one is handled."""
    asked = []
    rows = (({"n": asked.append(number)}, 1) for number in range(10))
    parts = in_parts(rows, 3, 1000)
    next(parts)
    assert asked == [0, 1, 2]


@given(REPORTS, st.lists(st.integers(0, 10_000)), st.booleans())
def test_csv_gives_back_what_was_written_however_it_is_cut(rows, places, compress):
    """Text with quotes, line breaks and letters of several bytes survives CSV and gzip, as do lists and accounts."""
    data = b"".join(write_csv(rows, csv_columns(rows)))
    chunks = cut(gzip.compress(data) if compress else data, places)
    columns = csv_columns(rows)
    expected = [
        {
            **{name: row.get(name) for name in columns if not name.startswith("account.") and name != "account"},
            **(
                {"account": {n: row.get("account", {}).get(n) for n in _inner(columns)} if row.get("account") else {}}
                if _inner(columns)
                else {}
            ),
        }
        for row in rows
    ]
    assert list(read_rows(plain_chunks(chunks), "csv")) == expected


def _inner(columns):
    return [name.removeprefix("account.") for name in columns if name.startswith("account.")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_letters_of_several_bytes_survive_every_cut(size):
    """No character is replaced when a chunk ends inside it."""
    rows = [{"id": str(number), "name": "Zoë 日本 🎉"} for number in range(20)]
    for file_format, lines in (("json", write_json(rows)), ("csv", write_csv(rows, ["id", "name"]))):
        data = b"".join(lines)
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        assert list(read_rows(chunks, file_format)) == rows


def test_csv_tells_null_from_empty_text():
    """An empty cell is null, a quoted empty one is empty text; blank lines are no rows."""
    data = b'\xef\xbb\xbfid,a,account.domain,segment_ids\r\n1,,,"[""s""]"\r\n\r\n2,"",x.example,\r\n'
    assert list(read_rows(one_by_one(data), "csv")) == [
        {"id": "1", "a": None, "segment_ids": ["s"], "account": {}},
        {"id": "2", "a": "", "segment_ids": None, "account": {"domain": "x.example"}},
    ]


@pytest.mark.parametrize(
    ("file_format", "data", "error", "words"),
    [
        ("xml", b"", InvalidArgumentError, "json, csv"),
        ("json", b'{"a":1}{"b"', TransientError, "within row 2"),
        ("json", b'[{"a":1},', TransientError, "within its array"),
        ("json", b'{"a":1},{"b":2}', InvalidArgumentError, "after row 1"),
        ("json", b'[{"a":1} {"b":2}]', InvalidArgumentError, "after row 1"),
        ("json", b'[{"a":1}]{"b":2}', InvalidArgumentError, "after row 1"),
        ("json", b'{"a":1}\n7\n', InvalidArgumentError, "JSON objects"),
        ("json", b'{"a":1}\n{a:2}\n', InvalidArgumentError, "row 2"),
        ("json", b'{"a":NaN}', InvalidArgumentError, "row 1"),
        ("json", b'{"a":"\xff"}', InvalidArgumentError, "row 1"),
        ("json", b'{"a":"' + b"x" * 200 + b'"}', InvalidArgumentError, "larger than 100"),
        ("csv", b'id\n"1', TransientError, "within row 2"),
        ("csv", b"id\n1,2\n", InvalidArgumentError, "row 2 has 2 cells"),
        ("csv", b'id\na"b"\n', InvalidArgumentError, "quote"),
        ("csv", b"id,id\n1,2\n", InvalidArgumentError, "repeated"),
        ("csv", b"id\n\xff\n", InvalidArgumentError, "UTF-8"),
        ("csv", b"segment_ids\nx\n", InvalidArgumentError, "no list"),
        ("csv", b"id\n" + b"x" * 200, InvalidArgumentError, "larger than 100"),
    ],
)
def test_a_damaged_file_is_refused_with_the_row(file_format, data, error, words):
    """The error says which row breaks which rule, the same at every cut; a cut file may be tried again."""
    for chunks in ([data], one_by_one(data)):
        with pytest.raises(error, match=words):
            list(read_rows(chunks, file_format, max_row_bytes=100))


@pytest.mark.parametrize("data", [b"[" + b",".join([b'{"a":1}'] * 50) + b"]\n", b'{"a":1}' * 50 + b"\n"])
@pytest.mark.attack("decompression bomb")
def test_the_limit_of_a_row_is_not_one_of_a_line(data):
    """Rows below the limit are read although the line that they share is longer, the same at every cut."""
    for chunks in ([data], one_by_one(data)):
        assert list(read_rows(chunks, "json", max_row_bytes=100)) == [{"a": 1}] * 50


def test_gzip_is_known_by_its_header_or_its_first_bytes():
    """A file in gzip is read with and without Content-Encoding, in several members and cut at every byte."""
    data = gzip.compress(b"first ") + gzip.compress(b"second" * 50_000)
    for encoding in (None, "gzip", "GZIP"):
        assert b"".join(plain_chunks(one_by_one(data), encoding)) == b"first " + b"second" * 50_000
    assert b"".join(plain_chunks([gzip.compress(gzip.compress(b"twice"))], "gzip")) == b"twice"
    assert b"".join(plain_chunks([b"p", b"lain"], "identity")) == b"plain"


@pytest.mark.parametrize(
    ("data", "encoding", "error"),
    [
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], None, TransientError),
        (b"plain", "gzip", InvalidArgumentError),
        (b"plain", "br", InvalidArgumentError),
    ],
)
def test_a_damaged_gzip_is_refused(data, encoding, error):
    """A cut file may be tried again; another encoding may not."""
    with pytest.raises(error):
        list(plain_chunks([data], encoding))


@pytest.mark.parametrize("file_format", ["json", "array", "csv"])
@pytest.mark.attack("decompression bomb")
def test_memory_does_not_grow_with_the_file(file_format):
    """Reading 20 MB out of a small gzip takes a few chunks of memory."""
    row = b'{"id":"1","name":"' + b"x" * 980 + b'"}'
    body = {
        "json": (row + b"\n") * 20_000,
        "array": b"[" + (row + b",") * 19_999 + row + b"]",
        "csv": b"id,name\n" + (b"1," + b"x" * 1000 + b"\n") * 20_000,
    }[file_format]
    data = gzip.compress(body, 1)
    del body
    tracemalloc.start()
    count = sum(1 for _ in read_rows(plain_chunks([data]), "csv" if file_format == "csv" else "json"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 4_000_000
