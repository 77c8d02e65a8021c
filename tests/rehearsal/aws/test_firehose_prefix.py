"""Where objects are delivered, by the rules and examples of the Firehose developer guide."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest

from rehearsal.aws.firehose_prefix import check_prefixes, error_prefix_of, object_prefix
from rehearsal.aws.firehose_shapes import ApiError

AT = datetime(2018, 8, 7, 10, 30, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("prefix", "evaluated"),
    [
        ("", "2018/08/07/10/"),
        ("loads/views/", "loads/views/2018/08/07/10/"),
        ("myPrefix", "myPrefix2018/08/07/10/"),
        (
            "y=!{timestamp:yyyy}/m=!{timestamp:MM}/d=!{timestamp:dd}/h=!{timestamp:HH}/",
            "y=2018/m=08/d=07/h=10/",
        ),
        (
            "!{timestamp:'year='yyyy'/month='MM'/day='dd'/hour='HH}/",
            "year=2018/month=08/day=07/hour=10/",
        ),
        ("!{timestamp:yyyy'-'MM'-'dd'T'HH:mm:ss}/", "2018-08-07T10:30:05/"),
        (
            "!{timestamp:yy-M-d-H-D-MMM-MMMM-EEE-EEEE-hh a}/",
            "18-8-7-10-219-Aug-August-Tue-Tuesday-10 AM/",
        ),
        ("!{timestamp:yyyy'o''clock'''}/", "2018o'clock'/"),
    ],
)
def test_prefixes(prefix: str, evaluated: str) -> None:
    check_prefixes(prefix, "!{firehose:error-output-type}/")
    assert object_prefix(prefix, AT) == evaluated


@pytest.mark.parametrize(
    ("prefix", "error_prefix", "evaluated"),
    [
        ("", "", "processing-failed/2018/08/07/10/"),
        ("myFirehosePrefix/", "", "myFirehosePrefix/processing-failed/2018/08/07/10/"),
        ("any/", "failures/!{firehose:error-output-type}/", "failures/processing-failed/"),
        (
            "any/",
            "!{firehose:error-output-type}/views/!{timestamp:yyyy/MM/dd/HH}/",
            "processing-failed/views/2018/08/07/10/",
        ),
        ("any/", "errors/", "errors/"),
    ],
)
def test_prefixes_of_errors(prefix: str, error_prefix: str, evaluated: str) -> None:
    check_prefixes(prefix, error_prefix)
    assert error_prefix_of(prefix, error_prefix, AT) == evaluated


def test_every_random_string_is_another_one() -> None:
    prefix = "!{firehose:random-string}/!{firehose:random-string}/!{timestamp:yyyy}/"
    check_prefixes(prefix, "!{firehose:error-output-type}/")
    evaluated = object_prefix(prefix, AT)
    found = re.fullmatch("([0-9a-f-]{11})/([0-9a-f-]{11})/2018/", evaluated)
    assert found
    assert found[1] != found[2]


@pytest.mark.parametrize(
    ("prefix", "error_prefix", "told"),
    [
        (
            "!{timestamp:yyyy}/",
            "",
            "ErrorOutputPrefix cannot be null or empty when Prefix contains",
        ),
        ("a!{firehose:error-output-type}", "!{firehose:error-output-type}", "Prefix must not"),
        ("a/", "!{timestamp:yyyy}/", "ErrorOutputPrefix must contain at least one occurrence"),
        ("a/!{timestamp:yyyy", "!{firehose:error-output-type}", "begins no !{namespace:value}"),
        ("a/!{year}", "!{firehose:error-output-type}", "begins no !{namespace:value}"),
        ("a/!{moon:phase}", "!{firehose:error-output-type}", "the namespace moon"),
        ("a/!{partitionKeyFromLambda:x}", "!{firehose:error-output-type}", "the namespace part"),
        ("a/!{timestamp:bb}", "!{firehose:error-output-type}", "Invalid conversion character"),
        ("a/!{firehose:moon}", "!{firehose:error-output-type}", "Invalid conversion character"),
        ("a" * 513, "", "longer than 512"),
    ],
)
def test_prefixes_that_are_refused(prefix: str, error_prefix: str, told: str) -> None:
    with pytest.raises(ApiError, match=re.escape(told)) as refused:
        check_prefixes(prefix, error_prefix)
    assert refused.value.code == "InvalidArgumentException"
    assert str(refused.value).startswith("Ths supplied prefix(es) do not satisfy")
