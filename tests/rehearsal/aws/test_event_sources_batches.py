"""What becomes of a batch: cutting, halving, partial responses."""

from __future__ import annotations

import json

import pytest

from rehearsal.aws.event_sources.batches import Batch, Record, failed_keys, fitting

SIX_MEGABYTES = 6_291_456


def batch(*keys: str, failures: int = 0) -> Batch:
    return Batch(tuple(Record(key, b"{}") for key in keys), failures)


def keys(batches: list[Batch]) -> list[str]:
    return ["".join(record.key for record in each.records) for each in batches]


def test_the_event_is_json_of_the_records() -> None:
    two = Batch((Record("a", b'{"x":1}'), Record("b", b'{"x":2}')))
    assert json.loads(two.event) == {"Records": [{"x": 1}, {"x": 2}]}


def test_a_failure_without_bisecting_counts() -> None:
    (rest,) = batch("a", "b").after_failure(0, bisect=False)
    assert (keys([rest]), rest.failures, rest.invocations) == (["ab"], 1, 1)


def test_bisecting_halves_and_does_not_count() -> None:
    halves = batch("a", "b", "c").after_failure(0, bisect=True)
    assert (keys(halves), [each.failures for each in halves]) == (["a", "bc"], [0, 0])
    assert keys(halves[0].after_failure(0, bisect=True)) == ["a"]
    assert halves[0].after_failure(0, bisect=True)[0].failures == 1


@pytest.mark.parametrize(("bisect", "failures"), [(False, 1), (True, 0)])
def test_what_comes_before_the_first_failure_is_done(bisect: bool, failures: int) -> None:
    (rest,) = batch("a", "b", "c", failures=3).after_failure(1, bisect=bisect)
    assert (keys([rest]), rest.failures) == (["bc"], failures)


@pytest.mark.parametrize(
    ("failures", "retries", "over"),
    [(1, 0, True), (1, 1, False), (2, 1, True), (99, -1, False), (0, 0, False)],
)
def test_retries_are_bounded_unless_they_are_not(failures: int, retries: int, over: bool) -> None:
    assert batch("a", failures=failures).exhausted(retries) is over


def test_a_batch_has_at_most_six_megabytes_but_at_least_a_record() -> None:
    record = Record("a", b"x" * 1_000_000)
    count = fitting([record] * 10, 10)
    assert count == 6
    assert len(Batch((record,) * count).event) <= SIX_MEGABYTES
    assert fitting([record] * 10, 4) == 4
    assert fitting([Record("a", b"x" * 7_000_000)] * 2, 10) == 1
    assert fitting([], 10) == 0
    exact = Record("a", b"x" * (SIX_MEGABYTES - len(Batch(()).event) - 1))
    assert fitting([exact, Record("b", b"")], 10) == 1
    assert len(Batch((exact,)).event) <= SIX_MEGABYTES


@pytest.mark.parametrize(
    ("response", "failed"),
    [
        # "complete success"
        ("null", set()),
        ('""', set()),
        ("{}", set()),
        ('{"batchItemFailures": []}', set()),
        ('{"batchItemFailures": null}', set()),
        # some
        ('{"batchItemFailures": [{"itemIdentifier": "b"}]}', {"b"}),
        ('{"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]}', {"a", "b"}),
        # "complete failure"
        ('{"batchItemFailures": [{"itemIdentifier": ""}]}', None),
        ('{"batchItemFailures": [{"itemIdentifier": null}]}', None),
        ('{"batchItemFailures": [{"itemidentifier": "b"}]}', None),
        ('{"batchItemFailures": [{"itemIdentifier": "elsewhere"}]}', None),
        ('{"batchItemFailures": [{"itemIdentifier": "b"}, {}]}', None),
        ('{"batchItemFailures": ["b"]}', None),
        ('"done"', None),
        ("[1]", None),
        ("nonsense", None),
    ],
)
def test_responses_mean_what_the_guide_says(response: str, failed: set[str] | None) -> None:
    assert failed_keys(response.encode(), ["a", "b", "c"]) == failed
