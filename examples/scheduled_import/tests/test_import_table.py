"""From bytes to rows and records: one bad row costs no other, and a large file no memory."""

from __future__ import annotations

import csv
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_connector.files import Report, packed, records
from import_connector.mapping import check_columns, record
from import_connector.table import MAX_ROW_BYTES, BadRow, Row, Table, TableError

SETTINGS = {
    "data_set": "users",
    "id_column": "id",
    "email_column": None,
    "account_id_column": None,
    "event_column": None,
    "event_id_column": None,
    "time_column": None,
    "attributes": {},
    "types": {},
}


def table(data, encoding="utf-8", delimiter=","):
    """Return the table that some bytes are."""
    return Table(io.BytesIO(data), encoding=encoding, delimiter=delimiter)


def rows(data, **options):
    """Return lines and cells of good rows, lines and reasons of bad ones."""
    return [
        (each.line, each.reason) if isinstance(each, BadRow) else (each.line, list(each.cells.values()))
        for each in table(data, **options).rows()
    ]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"a,b\n1,2\n", [(2, ["1", "2"])]),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4", [(2, ["1", "2"]), (4, ["3", "4"])]),
        (b'a,b\n"1\n2","x ""y"""\n3,4\n', [(2, ["1\n2", 'x "y"']), (4, ["3", "4"])]),
        (b'a,b\n1,"2\n3,4\n', [(2, "it is no CSV: unexpected end of data"), (3, ["3", "4"])]),
        (
            b'a,b\n1,"2\n3,4\n5,"6\n',
            [
                (2, "it is no CSV: ',' expected after '\"'"),
                (3, ["3", "4"]),
                (4, "it is no CSV: unexpected end of data"),
            ],
        ),
        (b"a,b\n1\n2,3\n", [(2, "it has 1 cells; the first row names 2 columns"), (3, ["2", "3"])]),
        ("a,b\nä,ö\n".encode(), [(2, ["ä", "ö"])]),
    ],
)
def test_rows_are_cut_at_line_breaks_outside_of_quotes(data, found):
    """A quote that nobody closes costs its own line; every other row is there with its line's number."""
    assert rows(data) == found


def test_bytes_of_another_encoding_cost_their_row_only():
    """The reason names the byte, and the way out; with the right encoding the row is good."""
    data = b"id,city\n1,Wien\n2,M\xfcnchen\n3,Bern\n"
    found = rows(data)
    assert (found[0], found[2]) == ((2, ["1", "Wien"]), (4, ["3", "Bern"]))
    assert found[1][1].startswith("byte 4 of the row, 0xfc, is not utf-8; save the file so")
    assert rows(data, encoding="windows-1252")[1] == (3, ["2", "München"])


def test_lines_without_end_are_bad_rows():
    """What is larger than any record is left out in bounded memory, and what follows is read."""
    found = rows(b"a,b\n" + b"x" * (5 * MAX_ROW_BYTES) + b"\n1,2\n")
    assert found == [(2, f"the line is longer than {MAX_ROW_BYTES} bytes"), (3, ["1", "2"])]


class Counted(bytes):
    """A line that counts the bytes of it that are looked through for quotes, also within a longer text."""

    looked_at = 0

    def count(self, *args):
        """Count, and remember how many bytes that took."""
        Counted.looked_at += len(self)
        return super().count(*args)

    def __add__(self, other):
        """Go on counting in what the line becomes a part of."""
        return Counted(super().__add__(other))


@pytest.mark.parametrize("opened", [1, 20])
def test_a_quote_that_nobody_closes_costs_each_line_two_looks(monkeypatch, opened):
    """Many short lines behind it are read as far as a row may reach, and then once more as the rows that they are."""
    monkeypatch.setattr(Counted, "looked_at", 0)
    part = [b'1,"2\n', *[b"3,4\n"] * 2_000]
    lines = [Counted(line) for line in [b"a,b\n", *part * opened]]
    found = list(Table(lines, encoding="utf-8", delimiter=",").rows())
    assert sum(isinstance(row, BadRow) for row in found) == opened
    assert len(found) == 2_001 * opened
    assert Counted.looked_at <= 3 * sum(map(len, lines))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"a,a\n", "names a column twice"),
        (b"a,,b\n", "not at all"),
        ("a,b\n".encode("utf-16"), "UTF-16"),
        (b"<!doctype html>\n<p>Log in", "a web page"),
        (b"PK\x03\x04...", "Excel"),
        (b'{"a": 1}\n', "JSON"),
        (b"\xff,b\n", "the first row: byte 1"),
        (b"a" * (2 * MAX_ROW_BYTES), "far too long"),
        (b"\n" * (MAX_ROW_BYTES + 1) + b"a,b\n", "blank lines"),
        (b" " * 100_000 + b"\n" + b"\r\n" * MAX_ROW_BYTES, "blank lines"),
    ],
)
def test_what_is_no_table_is_refused_whole(data, reason):
    """Before anything is imported, in words that an operator understands."""
    with pytest.raises(TableError, match=reason):
        table(data)


@settings(deadline=None)  # a busy machine takes longer now and then
@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=9), min_size=2, max_size=2)
    )
)
def test_what_a_writer_of_csv_writes_is_read_as_it_was(written):
    """Whatever stands in the cells: separators, quotes and line breaks."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *written])
    assert [list(each.cells.values()) for each in table(text.getvalue().encode()).rows()] == written


@settings(deadline=None)  # a busy machine takes longer now and then
@given(st.lists(st.binary(max_size=30)))
def test_no_bytes_break_the_reader(lines):
    """Whatever a file holds, each of its lines is in a good row or a bad one, and the last row is always found."""
    data = b"a,b\n" + b"".join(line.replace(b"\n", b"").replace(b'"', b"") + b"\n" for line in lines) + b"1,2\n"
    found = list(table(data).rows())
    assert isinstance(found[-1], Row)
    assert found[-1].line == data.count(b"\n")
    assert len(found) == 1 + sum(bool(line.strip()) for line in data.split(b"\n")[1:-2])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"id_column": "Id"}, "no column 'Id'"),
        ({"attributes": {"plan": "Plan"}}, "no column 'Plan'"),
        ({"types": {"id": "date"}}, "no type"),
        ({"types": {"id": ["number"]}}, "no type"),
        ({"id_column": None}, "whom a row is about"),
        ({"data_set": "events"}, "the event's name"),
        ({"data_set": "accounts", "id_column": None, "email_column": "id"}, "whom a row is about"),
    ],
)
def test_columns_and_settings_have_to_go_together(settings, reason):
    """A file without a column that is needed is refused whole, since every row of it would be."""
    with pytest.raises(TableError, match=reason):
        check_columns(["id", "city"], {**SETTINGS, **settings})


@pytest.mark.parametrize(
    ("settings", "cells", "found"),
    [
        ({}, {"id": "1", "city": "Wien", "zip": ""}, {"userId": "1", "traits": {"city": "Wien"}}),
        (
            {"attributes": {"town": "city"}},
            {"id": "1", "city": "Wien", "zip": "1"},
            {"userId": "1", "traits": {"town": "Wien"}},
        ),
        ({"email_column": "m"}, {"id": "", "m": " a@x.example "}, {"traits": {"email": "a@x.example"}}),
        ({"account_id_column": "org"}, {"id": "1", "org": "o"}, {"userId": "1", "accountId": "o", "traits": {}}),
        (
            {"types": {"n": "number", "ok": "boolean"}},
            {"id": "1", "n": "-1.5e3", "ok": "Yes"},
            {"userId": "1", "traits": {"n": -1500.0, "ok": True}},
        ),
        ({"data_set": "accounts"}, {"id": "a", "size": "7"}, {"accountId": "a", "traits": {"size": "7"}}),
        (
            {"data_set": "events", "event_column": "what", "event_id_column": "no", "time_column": "at"},
            {"id": "1", "what": "Paid", "no": "7", "at": "2026-05-01", "sum": "5"},
            {"event": "Paid", "userId": "1", "eventId": "7", "timestamp": "2026-05-01", "properties": {"sum": "5"}},
        ),
    ],
)
def test_a_row_becomes_a_record(settings, cells, found):
    """Identifiers, attributes and properties stand where the Import API wants them; empty cells say nothing."""
    assert record(cells, {**SETTINGS, **settings}) == found


@pytest.mark.parametrize(
    ("settings", "cells"),
    [
        ({}, {"id": " "}),
        ({"email_column": "m"}, {"id": "1", "m": "nobody"}),
        ({"types": {"n": "number"}}, {"id": "1", "n": "1_000"}),
        ({"types": {"n": "number"}}, {"id": "1", "n": "nan"}),
        ({"types": {"n": "number"}}, {"id": "1", "n": "9" * 400}),
        ({"types": {"ok": "boolean"}}, {"id": "1", "ok": "maybe"}),
        ({"data_set": "accounts"}, {"id": ""}),
        ({"data_set": "events", "event_column": "what"}, {"id": "1", "what": ""}),
    ],
)
def test_a_row_that_says_nonsense_is_refused(settings, cells):
    """With a reason; nothing is guessed."""
    with pytest.raises(ValueError, match=r"nobody|address|number|true or false|no account|no event"):
        record(cells, {**SETTINGS, **settings})


def test_a_large_file_takes_no_memory():
    """Ten megabytes, every tenth row bad, in less than one."""

    def lines():
        yield b"id,city,seats\n"
        for number in range(5_000):
            yield b"%d,%s,%s\n" % (number, b"Wien" * 500, b"x" if number % 10 == 0 else b"5")

    report = Report(lambda _bad: None)
    tracemalloc.start()
    try:
        found = Table(lines(), encoding="utf-8", delimiter=",").rows()
        size = sum(map(len, packed(records(found, {**SETTINGS, "types": {"seats": "number"}}, report))))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert (report.rows, report.bad) == (5_000, 500)
    assert size > 10_000
