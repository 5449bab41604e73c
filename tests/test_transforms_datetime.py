"""Dates and times come back as they were written: dtype, resolution, time zone, format."""

from __future__ import annotations

import datetime
import pickle
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import refuses
from hypothesis import given, settings
from hypothesis import strategies as st

from clover_tvae.columns.calendar import Calendar
from clover_tvae.conditions import Condition
from clover_tvae.errors import ColumnTypeError, ConditionError, DataError
from clover_tvae.transforms.numbers import NumberTransform

ANY_TIME = st.datetimes(min_value=datetime.datetime(1, 1, 2), max_value=datetime.datetime(9999, 12, 30))
RNG = np.random.default_rng(11)
DAYS = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 2000, 300), "D"))
SECONDS = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 10**8, 300), "s"))
GAPS = RNG.random(300) < 0.1
PARIS = ZoneInfo("Europe/Paris")


def columns() -> dict[str, tuple[pd.Series, str | None]]:
    made: dict[str, tuple[pd.Series, str | None]] = {}
    for unit in ("s", "ms", "us", "ns"):
        made[f"days {unit}"] = (DAYS.astype(f"M8[{unit}]").mask(GAPS), None)
        made[f"seconds {unit}"] = (SECONDS.astype(f"M8[{unit}]").mask(GAPS), None)
        made[f"zone {unit}"] = (SECONDS.astype(f"M8[{unit}]").dt.tz_localize("UTC").dt.tz_convert("Europe/Paris"), None)
    made["zoneinfo"] = (SECONDS.dt.tz_localize("UTC").dt.tz_convert(PARIS), None)
    made["local midnights"] = (DAYS.dt.tz_localize("Europe/Paris"), None)
    made["utc"] = (SECONDS.dt.tz_localize("UTC").mask(GAPS), None)
    made["fixed offset"] = (SECONDS.dt.tz_localize(datetime.timezone(datetime.timedelta(hours=5, minutes=30))), None)
    made["nanoseconds"] = (pd.Series(pd.to_datetime(RNG.integers(10**18, 10**18 + 10**6, 300))), None)
    made["before 1677"] = (
        pd.Series(np.array(["0800-01-01"] * 5 + ["1500-02-03"] * 5 + ["1999-01-01"] * 5, "M8[s]")),
        None,
    )
    made["dates"] = (
        pd.Series([None if gap else day.date() for day, gap in zip(DAYS, GAPS, strict=True)], dtype=object),
        None,
    )
    made["old dates"] = (pd.Series([datetime.date(1400 + i, 1, 1 + i % 28) for i in range(300)], dtype=object), None)
    made["times"] = (pd.Series([t.to_pydatetime() for t in SECONDS], dtype=object), None)
    made["times with zone"] = (pd.Series([t.to_pydatetime().replace(tzinfo=PARIS) for t in DAYS], dtype=object), None)
    made["stamps"] = (pd.Series(list(SECONDS), dtype=object), None)
    made["arrow timestamp"] = (SECONDS.mask(GAPS).astype(pd.ArrowDtype(pa.timestamp("ms"))), None)
    made["arrow zone"] = (made["zone us"][0].astype(pd.ArrowDtype(pa.timestamp("us", "Europe/Paris"))), None)
    made["arrow date"] = (made["dates"][0].astype(pd.ArrowDtype(pa.date32())), None)
    made["arrow date64"] = (made["dates"][0].astype(pd.ArrowDtype(pa.date64())), None)
    made["constant"] = (pd.Series(pd.to_datetime(["2020-02-29"] * 30)), None)
    made["all missing"] = (pd.Series(pd.to_datetime([None] * 5)), None)
    made["all None"] = (pd.Series([None] * 5, dtype=object), None)
    for form in ("%Y-%m-%d", "%d/%m/%Y", "%d %b %Y", "%Y%m%d", "%B %d, %Y", "100%% %y-%j"):
        made[f"text {form}"] = (DAYS.dt.strftime(form).mask(GAPS), form)
    for form in ("%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %I:%M:%S %p"):
        made[f"text {form}"] = (SECONDS.dt.strftime(form), form)
    made["text to the minute"] = (SECONDS.dt.strftime("%Y-%m-%d %H:%M"), "%Y-%m-%d %H:%M")
    made["text without zeros"] = (DAYS.map(lambda t: f"{t.month}/{t.day}/{t.year}"), "%m/%d/%Y")
    made["times without zeros"] = (
        SECONDS.map(lambda t: f"{t.day}.{t.month}.{t.year} {t.hour}:{t.minute:02d}"),
        "%d.%m.%Y %H:%M",
    )
    made["text with offset"] = (SECONDS.dt.strftime("%Y-%m-%d %H:%M:%S+0200"), "%Y-%m-%d %H:%M:%S%z")
    made["text of old years"] = (pd.Series(["0976-05-01", "1066-10-14", "2020-01-01"] * 9), "%Y-%m-%d")
    made["string dtype"] = (DAYS.dt.strftime("%Y-%m-%d").astype("string"), "%Y-%m-%d")
    made["arrow text"] = (DAYS.dt.strftime("%Y-%m-%d").astype(pd.ArrowDtype(pa.string())), "%Y-%m-%d")
    return made


COLUMNS = columns()


def fit(column: pd.Series, numbers: str = "rank", **options: str | None) -> NumberTransform:
    century = 1930 if "%y" in (options.get("format") or "") else None
    fitted = NumberTransform.fit(column, "when", numbers, "datetime", century_starts=century, **options)
    plain = pickle.loads(pickle.dumps(fitted.to_plain()))
    again = NumberTransform.from_plain(plain, numbers, "datetime")
    assert again.to_plain() == plain
    return again


def round_trip(fitted: NumberTransform, column: pd.Series) -> pd.Series:
    codes = fitted.encode(column, np.random.default_rng(1), "error")
    middle = codes.scalars if codes.spreads is None else codes.scalars + codes.spreads / 2
    return fitted.decode(codes.choices, middle)


@pytest.mark.parametrize("numbers", ["mode", "rank"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_dates_comes_back(name: str, numbers: str) -> None:
    column, form = COLUMNS[name]
    before = column.copy()
    fitted = fit(column, numbers, format=form)
    decoded = round_trip(fitted, column)
    assert decoded.dtype == column.dtype
    assert decoded.isna().equals(column.isna())
    if column.notna().any():
        # A float32 rank tells 10 million steps apart: days come back exactly, seconds of many years to some seconds.
        moved = np.abs(fitted.read(decoded)[0] - fitted.read(column)[0])[column.notna()].max()
        span = fitted.grid.maximum - fitted.grid.minimum
        assert moved <= (0 if numbers == "rank" and span < 10_000 else 1e-5 * span + 1)
    if column.notna().any() and form is None:
        assert decoded.dropna().min() >= column.dropna().min()
        assert decoded.dropna().max() <= column.dropna().max()
    assert [type(v) for v in decoded[:20]] == [type(v) for v in column[:20]]
    pd.testing.assert_series_equal(column, before)


def test_resolution_is_kept_by_new_values() -> None:
    spread = np.linspace(0, 1, 500, dtype=np.float32)
    anything = np.zeros(500, np.int32)
    midnights = fit(COLUMNS["local midnights"][0]).decode(anything, spread)
    assert (midnights.dt.hour == 0).all()
    assert midnights.nunique() > 200
    minutes = fit(SECONDS.dt.floor("min")).decode(anything, spread)
    assert (minutes.dt.second == 0).all()
    assert (minutes.dt.minute != 0).any()


def test_hours_around_the_change_of_clocks_stay_exact() -> None:
    hours = pd.Series(pd.date_range("2020-10-24", "2020-10-27", freq="30min", tz="Europe/Paris").repeat(3))
    assert round_trip(fit(hours), hours).equals(hours)


def test_text_with_several_offsets_needs_a_zone() -> None:
    text = pd.Series(["2020-07-01 12:00 +0200", "2020-01-01 12:00 +0100"] * 10)
    with refuses(ColumnTypeError, "column 'when'"):
        fit(text, format="%Y-%m-%d %H:%M %z")
    assert round_trip(fit(text, format="%Y-%m-%d %H:%M %z", time_zone="Europe/Paris"), text).equals(text)
    naive = pd.Series(["2020-07-01 12:00"] * 3)
    assert round_trip(fit(naive, format="%Y-%m-%d %H:%M", time_zone="Europe/Paris"), naive).equals(naive)


@pytest.mark.parametrize(
    "texts",
    [
        ["2020-01-31 12:00:00+01:00", "2020-07-31 12:00:00+02:00"],
        ["2020-01-31 12:00:00+0100", "2020-07-31 12:00:00+0200"],
        ["2020-01-31 12:00:00Z", "2020-07-31 12:00:00Z"],
        ["2020-01-31 12:00:00-05:30", "2020-07-31 12:00:00-05:30"],
        ["2020-1-31 12:10:20+01:00", "2020-7-31 12:10:20+02:00"],
    ],
)
def test_offsets_are_written_as_they_were(texts):
    text = pd.Series(texts)
    several = texts[0][-6:] != texts[1][-6:]
    column = fit(text, format="%Y-%m-%d %H:%M:%S%z", time_zone="Europe/Berlin" if several else None)
    assert round_trip(column, text).tolist() == texts
    again = NumberTransform.from_plain(column.to_plain(), "rank", "datetime")
    assert round_trip(again, text).tolist() == texts


def test_a_file_that_does_not_say_how_offsets_are_written_has_them_as_strftime_writes_them():
    text = pd.Series(["2020-01-31 12:00:00+01:00", "2020-02-29 12:00:00+01:00"])
    plain = fit(text, format="%Y-%m-%d %H:%M:%S%z").to_plain()
    del plain["calendar"]["offset"]
    assert round_trip(NumberTransform.from_plain(plain, "rank", "datetime"), text).str.endswith("+0100").all()


def test_thousands_of_texts_are_read_as_few_are() -> None:
    many = pd.Series(pd.date_range("1650-01-01", periods=5000, freq="13D", unit="s").strftime("%d.%m.%Y"))
    assert (round_trip(fit(many, format="%d.%m.%Y"), many) == many).mean() > 0.999


@pytest.mark.parametrize(
    ("column", "options", "match"),
    [
        (pd.Series(["2020-01-01"]), {}, "must have a format"),
        (pd.Series(["2020-01-01", "CANARY"]), {"format": "%Y-%m-%d"}, "found 1 of 2 cells"),
        (pd.Series([1, 2]), {}, "must hold dates"),
        (pd.Series([1.5, 2]), {}, "must hold dates"),
        (pd.Series(["2020-01-01"], dtype="category"), {"format": "%Y-%m-%d"}, "must hold dates"),
        (pd.Series([datetime.date(2020, 1, 1), "CANARY"], dtype=object), {}, "must hold dates"),
        (
            pd.Series([pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2020", tz="Asia/Tokyo")], dtype=object),
            {},
            "must have one time zone",
        ),
    ],
)
def test_cells_that_are_no_dates_are_refused(column: pd.Series, options: dict[str, str], match: str) -> None:
    with pytest.raises(ColumnTypeError, match=f"column 'when'.*{match}") as caught:
        fit(column, **options)
    assert "CANARY" not in str(caught.value)


def test_dates_of_another_form_are_read_or_refused() -> None:
    fitted = fit(DAYS)
    assert (
        fitted.encode(DAYS.astype("M8[s]"), RNG, "error").scalars == fitted.encode(DAYS, RNG, "error").scalars
    ).all()
    assert (
        fitted.encode(DAYS.astype(object), RNG, "error").scalars.tolist()
        == fitted.encode(DAYS, RNG, "error").scalars.tolist()
    )
    assert fitted.encode(pd.Series([None], dtype=object), RNG, "mask").choices.tolist() == [-1]
    for other in (DAYS.dt.tz_localize("UTC"), pd.Series([5])):
        with pytest.raises(ColumnTypeError):
            fitted.encode(other, RNG, "error")
    with pytest.raises(DataError, match="'when': 1 cells are missing"):
        fitted.encode(pd.Series([pd.NaT]), RNG, "error")
    text = fit(DAYS.dt.strftime("%Y-%m-%d"), format="%Y-%m-%d")
    assert (text.encode(DAYS, RNG, "error").scalars == fitted.encode(DAYS, RNG, "error").scalars).all()


FIRSTS = pd.Series(DAYS.dt.to_period("M").dt.to_timestamp())
LASTS = FIRSTS + pd.offsets.MonthEnd(1)


@pytest.mark.parametrize("numbers", ["mode", "rank", "raw"])
@pytest.mark.parametrize(
    ("column", "format"),
    [
        (FIRSTS, None),
        (LASTS, None),
        (LASTS.dt.tz_localize("Europe/Paris").mask(GAPS), None),
        (FIRSTS.dt.date, None),
        (LASTS.dt.strftime("%d.%m.%Y"), "%d.%m.%Y"),
        (FIRSTS.dt.strftime("%m/%Y").mask(GAPS), "%m/%Y"),
        (FIRSTS.dt.strftime("%Y").astype(int), "%Y"),
    ],
)
def test_dates_on_the_first_or_the_last_of_a_month_are_drawn_there(
    column: pd.Series, format: str | None, numbers: str
) -> None:
    fitted = fit(column, numbers, format=format)
    back = round_trip(fitted, column)
    assert back[column.notna()].tolist() == column.dropna().tolist()
    n = 500
    scalars = np.linspace(-2, 2, n) if numbers == "mode" else np.linspace(0, 1, n)
    if numbers == "raw":
        scalars = np.linspace(fitted.grid.minimum, fitted.grid.maximum, n)
    drawn = fitted.decode(np.zeros(n, np.int32), scalars)
    days = pd.to_datetime(drawn.astype(str).str[:10], format=format or "%Y-%m-%d")
    is_last = pd.to_datetime(str(column.dropna().iloc[0])[:10], format=format or "%Y-%m-%d").is_month_end
    assert (days.dt.is_month_end if is_last else days.dt.is_month_start).all()


def test_a_day_that_few_have_is_drawn_as_the_nearest_first_of_a_month() -> None:
    odd = FIRSTS.copy()
    odd.iloc[:4] = pd.Timestamp("2021-03-17")
    for least, is_kept in ((5, True), (4, False)):
        fitted = NumberTransform.fit(odd, "when", "rank", "datetime", least=least)
        assert bool(fitted.restore(*fitted.read(odd)).dt.is_month_start.all()) == is_kept
    fitted = NumberTransform.fit(odd, "when", "rank", "datetime", least=5)
    assert set(fitted.restore(*fitted.read(odd.iloc[:4]))) == {pd.Timestamp("2021-04-01")}
    few = FIRSTS[FIRSTS < "2020-12-01"]  # of eleven months chance could be the reason
    assert fit(few).reader.calendar.day_of_month == 0


@pytest.mark.parametrize("column", [FIRSTS, LASTS])
def test_conditions_on_dates_of_one_day_of_the_month_are_exact(column: pd.Series) -> None:
    fitted = fit(column)
    known = column.iloc[0]
    assert set(allowed_values(fitted, known)) == {known}
    for day in ("2021-03-01", "2021-03-02", "2021-03-17", "2021-03-31"):
        bound = pd.Timestamp(day)
        assert allowed_values(fitted, (">=", day)).min() == column[column >= bound].min()
        assert allowed_values(fitted, ("<", day)).max() == column[column < bound].max()
    with pytest.raises(ConditionError):
        fitted.allow(Condition.of("2021-03-17"))


@pytest.mark.parametrize("format", ["%Y", "%m/%Y", "%y"])
@pytest.mark.parametrize("seed", range(10))
def test_a_file_of_dates_without_a_day_can_be_read(format: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    span = int(rng.integers(60, 20_000))
    days = pd.Timestamp("1970-01-01") + pd.to_timedelta((span * rng.beta(2, 5, 100)).astype(int), unit="D")
    century = 1930 if format == "%y" else None
    fitted = NumberTransform.fit(
        pd.Series(days.strftime(format)), "x", "rank", "datetime", format, None, century, least=5
    )
    again = NumberTransform.from_plain(fitted.to_plain(), "rank", "datetime")
    assert again.to_plain() == fitted.to_plain()


@pytest.mark.parametrize("far", ["2261-12-01", "2262-03-01", "1677-11-01"])
@pytest.mark.parametrize("is_last", [False, True])
def test_months_near_the_ends_of_nanoseconds_can_be_read_from_a_file(far: str, is_last: bool) -> None:
    column = pd.Series([*FIRSTS, *[pd.Timestamp(far)] * 5]).dt.as_unit("ns") + pd.offsets.MonthEnd(
        0 if not is_last else 1
    )
    column = column if is_last else column - pd.offsets.MonthBegin(1)
    fitted = NumberTransform.fit(column, "x", "rank", "datetime", least=5)
    assert fitted.reader.calendar.day_of_month == (-1 if is_last else 1)
    assert NumberTransform.from_plain(fitted.to_plain(), "rank", "datetime").to_plain() == fitted.to_plain()


def test_a_column_without_a_date_keeps_its_format() -> None:
    empty = pd.Series([None] * 10, dtype=object)
    fitted = NumberTransform.fit(empty, "died", "rank", "datetime", "%d.%m.%Y")
    numbers, missing = fitted.read(pd.Series(["01.02.2020", None]))
    assert missing.tolist() == [False, True]
    assert fitted.restore(numbers, np.ones(2, bool)).isna().all()


@pytest.mark.parametrize("unit", ["h", "min", "s", "ms"])
def test_a_few_times_of_day_do_not_give_every_date_one(unit: str) -> None:
    rng = np.random.default_rng(4)
    days = pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 2_000, 500), unit="D")
    few = (np.arange(500) < 10).astype(int)
    clock = few * (pd.to_timedelta(rng.integers(1, 23, 500), unit="h") + pd.Timedelta(1, unit))
    fitted = NumberTransform.fit(pd.Series(days + clock), "x", "rank", "datetime", least=5)
    assert fitted.reader.calendar.step < 86_400 * 10**9
    drawn = fitted.decode(np.zeros(2_000, np.int32), np.linspace(0, 1, 2_000))
    assert (drawn.dt.normalize() == drawn).mean() > 0.9


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("n_odd", [6, 25])
def test_a_few_other_days_do_not_spread_dates_over_the_month(n_odd: int, is_last: bool) -> None:
    rng = np.random.default_rng(7)
    days = (np.datetime64("1995-01") + rng.integers(0, 240, 500) + is_last).astype("M8[D]") - is_last
    days[:n_odd] += rng.integers(3, 25, n_odd)
    column = pd.Series(days.astype("M8[us]"))
    fitted = NumberTransform.fit(column, "x", "rank", "datetime", least=5)
    assert fitted.reader.calendar.day_of_month == 0  # these days are kept
    fitted = NumberTransform.from_plain(fitted.to_plain(), "rank", "datetime")
    drawn = fitted.decode(np.zeros(20_000, np.int32), rng.random(20_000))
    there = drawn.dt.is_month_end if is_last else drawn.dt.is_month_start
    assert there.mean() == pytest.approx(1 - n_odd / 500, abs=0.025)
    assert drawn[~there].dt.day.nunique() > 15


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize(("n_months", "n_rows", "n_odd"), [(280, 12_000, 900), (72, 10_000, 250), (72, 500, 6)])
def test_a_day_off_the_first_can_be_asked_for_though_few_rows_are_in_its_month(
    n_months: int, n_rows: int, n_odd: int, is_last: bool
) -> None:
    rng = np.random.default_rng(5)
    days = (np.datetime64("2001-01") + rng.integers(0, n_months, n_rows) + is_last).astype("M8[D]") - is_last
    days[:n_odd] += rng.integers(3, 25, n_odd)
    fitted = NumberTransform.fit(pd.Series(days.astype("M8[us]")), "x", "rank", "datetime", least=5)
    fitted = NumberTransform.from_plain(fitted.to_plain(), "rank", "datetime")
    for day in np.sort(days)[n_rows // 50] + np.arange(0, 30 * n_months - 200, 11):
        assert set(allowed_values(fitted, pd.Timestamp(day))) == {pd.Timestamp(day)}
    codes = fitted.encode(pd.Series(days.astype("M8[us]")), rng, "error")
    learnt = fitted.decode(codes.choices, codes.scalars)
    assert (learnt == days.astype("M8[us]")).mean() == pytest.approx(1, abs=0.002)
    numbers = np.where(codes.choices < fitted.layout.n_numbered, rng.random(n_rows), codes.scalars)
    drawn = fitted.decode(codes.choices, numbers)
    there = drawn.dt.is_month_end if is_last else drawn.dt.is_month_start
    assert there.mean() == pytest.approx(1 - n_odd / n_rows, abs=0.02)
    if n_odd > 100:
        odd_years, years = drawn[~there].dt.year.value_counts(normalize=True), n_months // 12
        assert odd_years.max() < 2 / years
        assert odd_years.iloc[years - 1] > 0.4 / years


@pytest.mark.parametrize(("usual", "other"), [("%d/%m/%Y", "%-d/%-m/%Y"), ("%-d/%-m/%Y", "%d/%m/%Y")])
def test_leading_zeros_of_few_people_are_not_told(usual: str, other: str) -> None:
    days = pd.Series(pd.date_range("2020-01-01", periods=300))
    text, own = days.dt.strftime(usual), days.dt.strftime(other)
    fits = [fit(pd.concat([text, own[:n]]), format="%d/%m/%Y", least=5).to_plain() for n in (0, 1, 8)]
    assert fits[0]["calendar"] == fits[1]["calendar"] == fits[2]["calendar"]
    assert fits[0]["calendar"]["padded"] == ("-" not in usual)
    few = days[days.dt.day > 9][lambda d: d.dt.month > 9].dt.strftime("%d/%m/%Y")
    for zeros in (["3/10/2020"] * 4, ["03/10/2020"] * 4):
        assert fit(pd.concat([few, pd.Series(zeros)]), format="%d/%m/%Y", least=5).reader.calendar.padded


@pytest.mark.parametrize(("usual", "other"), [("+0100", "+01:00"), ("+01:00", "+0100")])
def test_how_few_people_write_offsets_is_not_told(usual: str, other: str) -> None:
    text = pd.Series([f"2020-01-{i % 28 + 1:02d} 12:{i % 60:02d}{usual if i > 3 else other}" for i in range(300)])
    assert fit(text, format="%Y-%m-%d %H:%M%z", least=5).reader.calendar.offset == usual


def test_files_that_know_no_months_are_read() -> None:
    plain = fit(DAYS).to_plain()
    del plain["calendar"]["day_of_month"]
    assert round_trip(NumberTransform.from_plain(plain, "rank", "datetime"), DAYS).equals(DAYS)


def allowed_values(fitted: NumberTransform, condition: object) -> pd.Series:
    """All kinds of cells that the condition lets through, the ends of every range among them."""
    allowed = fitted.allow(Condition.of(condition))
    made = []
    for choice in np.flatnonzero(allowed.choices):
        scalars = np.zeros(1, np.float32)
        if choice < fitted.layout.n_numbered:
            scalars = np.linspace(allowed.lower[choice], allowed.upper[choice], 101, dtype=np.float32)
        made.append(fitted.decode(np.full(len(scalars), choice, np.int32), scalars))
    return pd.concat(made)


@pytest.mark.parametrize("numbers", ["mode", "rank"])
def test_conditions_on_dates_are_exact(numbers: str) -> None:
    fitted = fit(DAYS, numbers)
    day = datetime.date(2021, 3, 4)
    for form in (day, "2021-03-04", pd.Timestamp(day), np.datetime64(day), datetime.datetime(2021, 3, 4)):
        assert allowed_values(fitted, (">=", form)).min() >= pd.Timestamp(day)
        assert allowed_values(fitted, ("<", form)).max() < pd.Timestamp(day)
    assert allowed_values(fitted, (">", "2021-03-04 12:00")).min() >= pd.Timestamp("2021-03-05")
    known = DAYS.iloc[0]
    assert set(allowed_values(fitted, known)) == {known}
    month = allowed_values(fitted, ("between", "2021-03-01", "2021-03-31"))
    assert month.between("2021-03-01", "2021-03-31").all()
    assert len(set(month)) > 5


def test_conditions_follow_the_zone_and_the_format_of_the_column() -> None:
    local = fit(COLUMNS["local midnights"][0])
    assert allowed_values(local, (">=", "2022-07-01")).min() >= pd.Timestamp("2022-07-01", tz="Europe/Paris")
    zoned = fit(COLUMNS["utc"][0])
    assert allowed_values(zoned, ("<", pd.Timestamp("2021-01-01 02:00", tz="Europe/Paris"))).max() < pd.Timestamp(
        "2021-01-01 01:00", tz="UTC"
    )
    assert allowed_values(zoned, (">=", pd.Timestamp("2021-01-01"))).min() >= pd.Timestamp("2021-01-01", tz="UTC")
    text = fit(DAYS.dt.strftime("%d/%m/%Y"), format="%d/%m/%Y")
    for form in ("03/04/2021", "2021-04-03"):
        assert (pd.to_datetime(allowed_values(text, (">=", form)), format="%d/%m/%Y") >= "2021-04-03").all()


@pytest.mark.parametrize(
    "condition",
    [
        5,
        "soon",
        ("between", "2021-01-01", 7),
        (">=", "2150-01-01"),
        ("<", "1990-01-01"),
        ("between", "2021-03-31", "2021-03-01"),
        (">=", pd.Timestamp("2021-01-01", tz="UTC")),
        (">=", datetime.date(9999, 1, 1)),
        None,
    ],
)
def test_conditions_that_no_date_can_meet(condition: object) -> None:
    with pytest.raises(ConditionError):
        fit(DAYS).allow(Condition.of(condition))


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "Y"},
        {"step": 0},
        {"step": 10**30},
        {"zone": "../x"},
        {"local": True},
        {"local": 1},
        {"format": "%Y"},
        {"format": 5},
        {"day_of_month": 2},
        {"day_of_month": True},
        {"surprise": 1},
    ],
)
def test_a_changed_calendar_is_refused(change: dict[str, object]) -> None:
    plain = fit(DAYS).to_plain()
    with pytest.raises(ValueError):
        NumberTransform.from_plain(plain | {"calendar": plain["calendar"] | change}, "rank", "datetime")
    with pytest.raises(ValueError):
        Calendar.from_plain([])


def test_a_changed_range_of_dates_is_refused() -> None:
    plain = fit(DAYS).to_plain()
    codec = plain["codec"]
    for change in ({"minimum": -(2**62), "maximum": 2**62}, {"kind": "float64", "minimum": 0.0, "maximum": 1.0}):
        with pytest.raises(ValueError):
            NumberTransform.from_plain(plain | {"codec": codec | {"grid": codec["grid"] | change}}, "rank", "datetime")
    with pytest.raises(ValueError):
        NumberTransform.from_plain(plain | {"codec": codec | {"missing": True}, "calendar": 1}, "rank", "datetime")
    dates = fit(COLUMNS["old dates"][0]).to_plain()
    far = dates["codec"] | {"grid": dates["codec"]["grid"] | {"maximum": 10**7}}
    with pytest.raises(ValueError):
        NumberTransform.from_plain(dates | {"codec": far}, "rank", "datetime")


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.lists(ANY_TIME, min_size=1, max_size=40))
def test_any_times_of_python_come_back(times: list[datetime.datetime]) -> None:
    column = pd.Series(times * 5, dtype=object)
    assert round_trip(fit(column), column).tolist() == times * 5
