"""Run-time parameters: the hinge between an export's folder and the run that loads it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.google.run_time import TemplateError, resolve

MOMENT = datetime(2026, 11, 20, 3, 5, tzinfo=timezone.utc)

moments = st.datetimes(datetime(2000, 1, 2), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(minute=0, second=0, microsecond=0, tzinfo=timezone.utc)
)
plain = st.text(alphabet=st.characters(exclude_characters="\\", exclude_categories=["Cs"]))


def escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in '{}"|' else char for char in text)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("mytable", "mytable"),
        ("t_{run_date}", "t_20261120"),
        ('t_{run_time|"%Y%m%d%H"}', "t_2026112003"),
        ('t_{run_time-24h|"%Y-%m-%d"}', "t_2026-11-19"),
        ('t_{run_time+1.5h|"%H"}', "t_04"),
        ('t_{run_time-3h6m|"%Y%m%d%H"}', "t_2026111923"),
        ('t_{run_time+30m30s|"%y%j"}', "t_26324"),
        ('t_{run_time|"%Y"}{run_time|"%m"}', "t_202611"),
        (r'a\{b\}\"\|{run_time|"\{%d\}"}', 'a{b}"|{20}'),
        ('100%_{run_time|"%%%H"}', "100%_%03"),
    ],
)
def test_documented_forms(template: str, expected: str) -> None:
    assert resolve(template, MOMENT) == expected


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("t_{run_time}", "no valid parameter at character 3"),
        ('t_{run_time |"%Y"}', "no valid parameter"),
        ('t_{run_time-1h| "%Y"}', "no valid parameter"),
        ('t_{run_time-1d|"%Y"}', "no unit for days"),
        ('t_{run_time-5m1h|"%Y"}', "in this order"),
        ('t_{run_time-|"%Y"}', "in this order"),
        ('t_{run_time|"%Y%M"}', "%M, which cannot be used"),
        ('t_{run_time|"%"}', "cannot be used"),
        ("t_{run_dat}", "no valid parameter"),
        ("t_}", "closes a brace"),
        ("t_{", "no valid parameter"),
        ('{run_time-99999999999h|"%Y"}', "out of the calendar"),
    ],
)
def test_what_the_service_would_not_understand(template: str, told: str) -> None:
    with pytest.raises(TemplateError) as error:
        resolve(template, MOMENT)
    assert told in str(error.value)


@given(moments, st.integers(0, 400), plain, plain)
def test_an_hour_written_into_a_path_is_read_back(
    hour: datetime, offset: int, before: str, after: str
) -> None:
    """An offset in the path and the same offset on the run time cancel out."""
    template = f'{escaped(before)}{{run_time-{offset}h|"%Y%m%d%H"}}{escaped(after)}'
    path = resolve(template, hour + timedelta(hours=offset))
    assert path.startswith(before)
    assert path.endswith(after)
    written = path[len(before) : len(path) - len(after)]
    assert datetime.strptime(f"{written}+0000", "%Y%m%d%H%z") == hour


@given(moments, st.integers(-12, 14))
def test_the_zone_of_the_run_time_does_not_matter(hour: datetime, zone: int) -> None:
    elsewhere = hour.astimezone(timezone(timedelta(hours=zone)))
    template = '{run_date}{run_time|"%H"}'
    assert resolve(template, elsewhere) == resolve(template, hour)


@given(plain)
def test_any_text_can_be_written_literally(text: str) -> None:
    assert resolve(escaped(text), MOMENT) == text
