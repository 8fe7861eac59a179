"""Files of CSV: the same rows as the standard library finds, however they are cut, and each mistake with its row."""

from __future__ import annotations

import csv
import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.csv_rows import CsvRows, _cells, _records, _table

#: Before Python 3.13 the standard library does not quote text for a carriage return alone.
PIECES = ("a", "1", '"', ",", "\n", "\r\n", " ", "é", "東", "🎉", "\0")
CELLS = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
#: A record that is blank would be no row.
NAMED = CELLS.map("x{}".format)
TABLES = st.integers(0, 3).flatmap(lambda more: st.lists(st.tuples(NAMED, *[CELLS] * more), min_size=1))
ENDS = st.sampled_from(["\n", "\r\n"])
QUOTING = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])


def rows_of(chunks, max_row_bytes=1_000_000):
    """Return the rows of a file, with their sizes."""
    return list(CsvRows(max_row_bytes).read(chunks))


@given(TABLES, ENDS, QUOTING, st.lists(st.integers(0, 10_000)), st.booleans())
def test_csv_is_read_as_the_standard_library_reads_it(table, end, quoting, places, is_whole):
    """Rows are those of `csv.DictReader`, with the bytes of their records, wherever the transfer cuts the file."""
    names = [f"näme {number}" for number in range(len(table[0]))]
    records = [_written(cells, end, quoting) for cells in (names, *table)]
    data = "".join(records).encode()
    if not is_whole:
        data = data.removesuffix(end.encode())
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    found = rows_of([data[begin:stop] for begin, stop in pairwise(edges)])

    expected = list(csv.DictReader(io.StringIO("".join(records), newline="")))
    assert [{name: cell or "" for name, cell in row.items()} for row, _ in found] == expected
    sizes = [len(record.encode()) - 1 for record in records[1:]]
    if not is_whole:
        sizes[-1] += 1 - len(end)
    assert [size for _, size in found] == sizes


def _written(cells, end, quoting):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=quoting).writerow(cells)
    return text.getvalue()


@given(st.text('a",é\r\n', max_size=24), st.integers(1, 4))
def test_records_are_read_at_once_as_they_are_read_one_by_one(text, width):
    """What is cut at once has the cells of its records; what is refused one by one is never cut at once."""
    if text.count('"') % 2:
        text += '"'
    block = f"{text}\n".encode()
    table = _table(block, width)
    try:
        cells = [_cells(record.decode().removesuffix("\r"), 1) for record in _records(block)]
    except InvalidArgumentError:
        cells = None
    if cells is None or width == 1 or {len(each) for each in cells} != {width}:
        assert table is None
    else:
        assert table == [tuple(each) for each in cells]


def test_quoted_and_plain_emptiness_differ_beside_doubled_quotes():
    """In a record with lists and quotes in its text, an empty cell is null and a quoted empty one is empty text."""
    data = b"a,b,segment_ids,account.c,account.d\n" + b',"","[""s"",""t""]","""",""\n,"x""y",,,\n' * 2
    first = {"a": None, "b": "", "segment_ids": ["s", "t"], "account": {"c": '"', "d": ""}}
    second = {"a": None, "b": 'x"y', "segment_ids": None, "account": {}}
    assert [row for row, _ in rows_of([data])] == [first, second] * 2


@pytest.mark.parametrize("step", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b'a"b",2', "row 52 is no CSV: a misplaced quote in cell 1"),
        (b'"a"b,2', "row 52 is no CSV: a misplaced quote in cell 1"),
        (b'1,a""b', "row 52 is no CSV: a misplaced quote in cell 2"),
        (b"1,2,3", "row 52 has 3 cells; the header has 2"),
        (b"1", "row 52 has 1 cells; the header has 2"),
        (b"1,\xff", "row 52 is not UTF-8: invalid start byte at byte 2"),
        (b"1," + b"x" * 100, "row 52 is larger than 100 bytes"),
        (b'1,"' + b"x\n" * 50 + b'"', "row 52 is larger than 100 bytes"),
    ],
)
def test_rows_before_a_mistake_are_read(record, words, step):
    """A mistake is told with its row and its rule, after the rows before it, wherever the transfer cuts the file."""
    data = b"id,name\n" + b'1,"Zo\xc3\xab, 1"\n' * 50 + record + b"\n" + b"3,4\n" * 50
    rows = CsvRows(100).read(data[at : at + step] for at in range(0, len(data), step))
    assert [next(rows)[0] for _ in range(50)] == [{"id": "1", "name": "Zoë, 1"}] * 50
    with pytest.raises(InvalidArgumentError, match=words):
        next(rows)


def test_a_cell_that_is_no_list_is_told_with_its_row():
    """A list that is none is told with its row and its field, after the rows before it."""
    rows = CsvRows(100).read([b'id,segment_ids\n1,"[]"\n2,"[""s""]"\n3,s\n4,"[]"\n'])
    assert [next(rows)[0]["segment_ids"] for _ in range(2)] == [[], ["s"]]
    with pytest.raises(InvalidArgumentError, match="row 4 has no list in 'segment_ids'"):
        next(rows)


@pytest.mark.parametrize("data", [b"\n\r\n id \n\n1\n \n\r\n2\n", b"\n id ,b\n\n1,2\r\n\n \n2,3"])
def test_blank_lines_are_no_rows(data):
    """Lines without text are left out, before the header and behind it."""
    assert [row[" id "] for row, _ in rows_of([data])] == ["1", "2"]
