"""What a column takes, how it is written, and what is refused with which reason."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication import exact_json
from replication.conversion import Unfit
from replication.lines import line_writer
from tests.handlers.replication.kit import flow_of, record


def field(kind: str, json_text: str) -> str:
    """What stands in the line for a value that an item has as this JSON."""
    data = f'{{"op":"upsert","sequence":"1","item":{{"id":"a","value":{json_text}}}}}'
    of = flow_of(kind)
    line = line_writer(of)(data.encode()).decode()
    prefix = f'"{of.marks[0]}",1,"a",'
    assert line.startswith(prefix)
    assert line.endswith("\n")
    return line[len(prefix) : -1]


TAKEN = [
    ("varchar(5)", '"abcde"', '"abcde"'),
    ("varchar(2)", '"😀é"', '"😀é"'),
    ("varchar(9)", '"a\\"b,c"', '"a""b,c"'),
    ("varchar(9)", '"a\\nb\\\\n"', '"a\nb\\n"'),
    ("varchar(9)", '"a\\u0000b"', '"a\x00b"'),
    ("varchar(9)", '""', '""'),
    ("varchar(9)", '"NULL"', '"NULL"'),
    ("varchar(9)", "null", "NULL"),
    ("longtext", '"plain"', '"plain"'),
    ("longtext", '{"a":[1,2.50,"x"]}', '"{""a"":[1,2.5,""x""]}"'),
    ("longtext", "1.123456789012345678901234567890", '"1.123456789012345678901234567890"'),
    ("longtext", '{"a":1.10000000000000000001}', '"{""a"":1.10000000000000000001}"'),
    ("longtext", "true", '"true"'),
    ("json", '{"ü":"ü"}', '"{""ü"":""ü""}"'),
    ("json", "18446744073709551615", '"18446744073709551615"'),
    ("json", "[-9223372036854775808]", '"[-9223372036854775808]"'),
    ("json", "1e20", '"1E+20"'),
    ("json", '"text"', '"""text"""'),
    ("json", "false", '"false"'),
    ("tinyint(1)", "true", "1"),
    ("tinyint(1)", "false", "0"),
    ("tinyint(1)", "1", "1"),
    ("int", "-2147483648", "-2147483648"),
    ("int", "2147483647", "2147483647"),
    ("int", "1E2", "100"),
    ("int", "7.0", "7"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("decimal(5,2)", "999.99", "999.99"),
    ("decimal(5,2)", "-0.01", "-0.01"),
    ("decimal(5,2)", "0", "0"),
    ("decimal(5,2)", "1.50000000000000000000", "1.50000000000000000000"),
    ("decimal(5,0)", "99999", "99999"),
    ("decimal(5,0)", "5.0", "5.0"),
    ("decimal(10,6)", "0.00001", "0.00001"),
    ("decimal(2,2)", "0.99", "0.99"),
    ("decimal(38,19)", *["1234567890123456789.1234567890123456789"] * 2),
    ("double", "0.1", "0.1"),
    ("double", "1E+125", "1E+125"),
    ("date", '"2024-02-29"', '"2024-02-29"'),
    ("datetime(6)", '"2026-11-20T03:05:12Z"', '"2026-11-20 03:05:12"'),
    ("datetime(6)", '"2026-11-20t03:05:12.5z"', '"2026-11-20 03:05:12.5"'),
    ("datetime(6)", '"2026-11-20 03:05:12.123456000Z"', '"2026-11-20 03:05:12.123456"'),
    ("datetime(6)", '"2026-01-01T00:30:00.25+01:00"', '"2025-12-31 23:30:00.25"'),
    ("datetime(6)", '"2025-12-31T23:30:00-00:45"', '"2026-01-01 00:15:00"'),
    ("datetime(6)", "1763608800", '"2025-11-20 03:20:00"'),
    ("datetime(6)", "1763608800.123456", '"2025-11-20 03:20:00.123456"'),
    ("datetime(6)", "-1", '"1969-12-31 23:59:59"'),
    ("varbinary(2)", '"AP8="', '"AP8="'),
    ("varbinary(2)", '""', '""'),
    ("longblob", '"AAECAw=="', '"AAECAw=="'),
]


@pytest.mark.parametrize(("kind", "value", "written"), TAKEN)
def test_a_value_is_written_as_load_data_reads_it(kind: str, value: str, written: str) -> None:
    assert field(kind, value) == written


REFUSED = [
    ("varchar(5)", '"abcdef"', "value: longer than 5 characters"),
    ("varchar(5)", "5", "value: not a string, which varchar(5) is for"),
    ("varchar(5)", '{"a":1}', "value: not a string"),
    ("json", "18446744073709551616", "value: has a number that MySQL's json does not hold exactly"),
    ("json", '{"a":[0.12345678901234567890]}', "use longtext"),
    ("json", "1e400", "use longtext"),
    ("tinyint(1)", "2", "value: neither true nor false"),
    ("tinyint(1)", '"true"', "value: neither true nor false"),
    ("int", "2147483648", "value: not a whole number that int holds"),
    ("int", "-2147483649", "not a whole number"),
    ("int", "1.5", "not a whole number"),
    ("int", "true", "not a whole number"),
    ("int", '"12"', "not a whole number"),
    ("bigint", "9223372036854775808", "value: not a whole number that bigint holds"),
    ("bigint", "1e999999", "not a whole number"),
    ("decimal(5,2)", "1000", "value: has more digits than decimal(5,2) holds"),
    ("decimal(5,2)", "0.001", "more digits"),
    ("decimal(9,2)", "0.00001", "more digits"),
    ("decimal(5,2)", "1.005", "more digits"),
    ("decimal(2,2)", "1", "more digits"),
    ("decimal(5,2)", "1e9999999", "more digits"),
    ("decimal(5,2)", '"1"', "value: not a number"),
    ("decimal(5,2)", "true", "value: not a number"),
    ("double", "1e400", "value: not a number that double holds"),
    ("double", '"1"', "not a number"),
    ("date", '"2026-02-29"', "value: not a date such as 2026-11-20"),
    ("date", '"20261120"', "not a date"),
    ("date", '"2026-11-20T00:00:00Z"', "not a date"),
    ("date", '"0999-12-31"', "not a date"),
    ("date", '"\u0662026-11-20"', "not a date"),
    ("datetime(6)", '"2026-11-20T03:05:12"', "value: not a time such as 2026-11-20T03:05:12Z"),
    ("datetime(6)", '"2026-11-20T03:05:12.1234567Z"', "at most six digits of a second"),
    ("datetime(6)", '"2026-02-30T03:05:12Z"', "not a time"),
    ("datetime(6)", '"2026-11-20T24:00:00Z"', "not a time"),
    ("datetime(6)", '"2026-12-31T23:59:60Z"', "not a time"),
    ("datetime(6)", '"2026-11-20T03:05:12+24:00"', "not a time"),
    ("datetime(6)", '"1000-01-01T00:00:00+00:01"', "in the years 1000 to 9999"),
    ("datetime(6)", '"9999-12-31T23:59:59-00:01"', "in the years 1000 to 9999"),
    ("datetime(6)", "1763608800000", "in the years 1000 to 9999"),
    ("datetime(6)", "1763608800.1234567", "at most six digits"),
    ("datetime(6)", "1763608800.00000000000000000000000001", "at most six digits"),
    ("datetime(6)", "true", "not a time"),
    ("varbinary(2)", '"AAAA"', "value: longer than 2 bytes"),
    ("varbinary(2)", '"A"', "value: not bytes in base64"),
    ("varbinary(9)", '"AA=A"', "value: not bytes in base64"),
    ("varbinary(9)", '"A A="', "value: not bytes in base64"),
    ("longblob", "1", "value: not bytes in base64, which longblob is for"),
]


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED)
def test_what_a_type_does_not_hold_is_refused_not_cut(kind: str, value: str, reason: str) -> None:
    with pytest.raises(Unfit) as told:
        field(kind, value)
    assert reason in str(told.value)
    assert "\n" not in str(told.value)


def test_a_reason_never_holds_the_value() -> None:
    for kind in ("int", "decimal(5,2)", "double", "date", "datetime(6)", "varbinary(2)"):
        with pytest.raises(Unfit) as told:
            field(kind, '"a secret ssn"')
        assert "secret" not in str(told.value)


def test_a_line_is_rfc_4180() -> None:
    """Any CSV reader takes it apart as MySQL does, but for NULL."""
    write = line_writer(flow_of("longtext"))
    line = write(record({"id": "a", "value": 'line "one"\r\nline, two'})).decode()
    assert next(csv.reader(io.StringIO(line, newline=""))) == [
        flow_of("longtext").marks[0],
        "1",
        "a",
        'line "one"\r\nline, two',
    ]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def exactly(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_keeps_its_value_through_json(number: Decimal | int) -> None:
    text = str(number)
    parsed = exact_json.loads(text)
    assert Decimal(repr(parsed) if isinstance(parsed, float) else parsed) == Decimal(text)
    assert Decimal(exact_json.dumps(parsed)) == Decimal(text)


@given(json_values)
def test_a_document_keeps_all_its_values(value: Any) -> None:
    text = "".join(exact_json._pieces(value))
    assert exactly(exact_json.dumps(exact_json.loads(text))) == exactly(text)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "[1] [2]", "{", "", "1 x"])
def test_what_is_not_one_json_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        exact_json.loads(text)
