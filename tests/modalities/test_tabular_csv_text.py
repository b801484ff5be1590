"""Records join to the text they came from, and say what csv.reader says."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from modalities.tabular.imputing.csv_text import content, quoted, read_records

TEXT = st.text(alphabet=list('ab",\n\r; '), max_size=60)


def lines_of(text: str) -> io.StringIO:
    return io.StringIO(text, newline="")


@given(TEXT, st.sampled_from([",", ";"]))
def test_records_join_to_the_text(text: str, delimiter: str):
    records = read_records(lines_of(text), delimiter)
    assert "".join(record.text(delimiter) for record in records) == text


@given(st.lists(st.lists(st.text(alphabet=list('ab",\n\r'), max_size=5), min_size=2), max_size=5))
def test_cells_are_those_of_the_standard_library(rows: list[list[str]]):
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    found = [
        [content(cell) for cell in record.cells]
        for record in read_records(lines_of(written.getvalue()), ",")
    ]
    assert found == [[cell.strip() for cell in row] for row in rows]


def test_an_unclosed_quote_is_one_line_and_the_rest_goes_on():
    first, second, third = read_records(lines_of('a,b\n"never,closed\nc,d\n'), ",")
    assert first.cells == ("a", "b")
    assert (second.closed, second.cells) == (False, ('"never,closed',))
    assert third.cells == ("c", "d")


def test_quotes_where_they_are_needed():
    assert quoted("plain", ",") == "plain"
    assert quoted('a,"b"', ",") == '"a,""b"""'
    assert quoted("plain", ",", like='""') == '"plain"'
