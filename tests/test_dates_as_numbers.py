"""Dates written as whole numbers, and years of two digits: one rule from the metadata to the report."""

from __future__ import annotations

import datetime
import pickle
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clover_tvae.columns.date_formats import century_of, read_texts, whole_number_format
from clover_tvae.conditions import Condition
from clover_tvae.errors import ColumnTypeError, ConditionError, MetadataError
from clover_tvae.estimators import TVAESynthesizer
from clover_tvae.evaluation.frames import code_tables
from clover_tvae.metadata import Column, Metadata, MetadataWarning
from clover_tvae.report.bins import date_edges
from clover_tvae.tables import read_table
from clover_tvae.transforms.numbers import NumberTransform

RNG = np.random.default_rng(0)
DAYS = pd.Series(pd.to_datetime("1950-01-01") + pd.to_timedelta(RNG.integers(0, 20_000, 300), "D"))
NUMBERS = {
    "%Y%m%d": DAYS.dt.strftime("%Y%m%d").astype(np.int64),
    "%d%m%Y": DAYS.dt.strftime("%d%m%Y").astype(np.int64),  # the first nine days lose their zero
    "%Y%m": DAYS.dt.strftime("%Y%m").astype(np.int64),
    "%H%M": pd.Series(RNG.integers(0, 24, 300) * 100 + RNG.integers(0, 60, 300)),
    "%Y%m%d%H%M": DAYS.dt.strftime("%Y%m%d0915").astype(np.int64),
}
DECIMALS = pd.ArrowDtype(pa.decimal128(14, 0))
DTYPES = {
    **{name: lambda cells, name=name: cells.astype(name) for name in ("int64", "Int64", "float64", "Float64")},
    **{name: lambda cells, name=name: cells.astype(name) for name in ("int64[pyarrow]", "double[pyarrow]")},
    "objects": lambda cells: cells.astype(object),
    "Decimal": lambda cells: cells.map(Decimal),
    "decimal128": lambda cells: cells.map(Decimal).astype(DECIMALS),
}
SHORT = pd.Series(["14/03/64", "01/12/38", "07/07/85", "20/01/02"] * 10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("format", NUMBERS)
def test_a_format_is_proposed_and_used_whatever_the_dtype(format: str, dtype: str) -> None:
    cells = DTYPES[dtype](NUMBERS[format])
    if dtype != "int64":
        cells.iloc[3] = None
    with pytest.warns(MetadataWarning, match=f"column 'when'.*{format}"):
        column = Metadata.infer(pd.DataFrame({"when": cells})).column("when")
    assert (column.kind, column.format) == ("datetime", format)
    fitted = NumberTransform.fit(cells, "when", "rank", "datetime", format)
    fitted = NumberTransform.from_plain(pickle.loads(pickle.dumps(fitted.to_plain())), "rank", "datetime")
    pd.testing.assert_series_equal(fitted.restore(*fitted.read(cells)), cells, check_names=False)
    layout = fitted.layout  # whatever the network draws is a date that exists, in the dtype of the column
    draws = fitted.decode(RNG.integers(0, layout.n_base, 500), RNG.random(500))
    assert draws.dtype == cells.dtype
    fitted.read(draws)


def test_small_whole_numbers_keep_their_dtype() -> None:
    cells = NUMBERS["%H%M"].astype("int16")
    fitted = NumberTransform.fit(cells, "at", "rank", "datetime", "%H%M")
    pd.testing.assert_series_equal(fitted.restore(*fitted.read(cells)), cells, check_names=False)


@pytest.mark.parametrize(
    "numbers",
    [
        RNG.integers(20_000, 90_000, 3_000),  # salaries
        RNG.integers(200, 900, 3_000) * 100,
        RNG.integers(190_000, 210_012, 3_000),
        RNG.integers(1_900, 2_026, 3_000),  # years, which exist all of them
        RNG.integers(2_000, 2_026, 3_000),
        np.arange(19_000_101, 19_003_101),  # identifiers
        np.arange(200_001, 203_001),
        RNG.integers(10_000_000, 40_000_000, 3_000),
        RNG.integers(0, 60, 3_000),  # minutes
        np.arange(0, 2_400, 50),
        np.arange(2, 2_400, 50),
        np.arange(21_062_126, 21_062_136),
        np.array([20180314, 20180401]),  # too few to tell
    ],
)
def test_other_whole_numbers_are_no_dates(numbers: np.ndarray) -> None:
    assert whole_number_format(numbers) is None


def test_one_number_that_is_no_date_is_refused_with_its_column() -> None:
    cells = NUMBERS["%Y%m%d"].copy()
    cells[5] = 20180231
    with pytest.raises(ColumnTypeError, match=r"column 'when'.*'%Y%m%d', found 1 of 300"):
        Metadata.of({"datetime": {"when": {"format": "%Y%m%d"}}}).validate(pd.DataFrame({"when": cells}))


@pytest.mark.parametrize("odd", [[20180231], [0] * 6, [99999999] * 6])
def test_numbers_that_stand_for_no_date_are_named_and_the_cure_works(odd: list[int]) -> None:
    cells = pd.Series([*NUMBERS["%Y%m%d"], *odd])
    with pytest.warns(MetadataWarning, match="column 'when'.*some that are none.*make these missing.*'%Y%m%d'"):
        assert Metadata.infer(pd.DataFrame({"when": cells})).column("when").kind == "ignore"
    mended = pd.DataFrame({"when": cells.astype("Int64").mask(cells.isin(odd))})
    Metadata.of({"datetime": {"when": {"format": "%Y%m%d"}}}).validate(mended)


def test_whole_number_dates_without_a_format_name_it() -> None:
    table = pd.DataFrame({"when": NUMBERS["%Y%m%d"]})
    with pytest.raises(ColumnTypeError, match="declare its format, '%Y%m%d'"):
        Metadata.of({"datetime": ["when"]}).validate(table)
    with pytest.warns(UserWarning, match="'when' looks like dates.*'%Y%m%d'"):
        Metadata.of({"continuous": ["when"]}).validate(table)


def test_conditions_take_numbers_dates_and_times() -> None:
    days = NumberTransform.fit(NUMBERS["%Y%m%d"], "when", "rank", "datetime", "%Y%m%d")
    ends = {days.ends(Condition.of((">=", low))) for low in (19800131, "19800131", "1980-01-31", np.int64(19800131))}
    assert len(ends) == 1
    times = NumberTransform.fit(NUMBERS["%H%M"], "at", "rank", "datetime", "%H%M")
    assert len({times.ends(Condition.of((">=", low))) for low in (115, "0115", "01:15")}) == 1
    with pytest.raises(ConditionError, match="%Y%m%d"):
        days.allow(Condition.of((">=", 1980)))
    dates = NumberTransform.fit(DAYS, "when", "rank", "datetime")
    with pytest.raises(ConditionError, match="must be a date"):
        dates.allow(Condition.of((">=", 19800131)))


@pytest.mark.parametrize("format", NUMBERS)
def test_csv_gives_the_same_dates(format: str, tmp_path: Path) -> None:
    NUMBERS[format].to_frame("when").to_csv(tmp_path / "t.csv", index=False)
    described = Metadata.of({"datetime": {"when": {"format": format}}})
    table = read_table(tmp_path / "t.csv", described)
    assert table["when"].tolist() == NUMBERS[format].tolist()
    described.validate(table)


def test_zeros_in_front_of_times_in_text_are_kept_and_their_lack_is_understood() -> None:
    assert (read_texts(["0115", "115", "5"], "%H%M")[0] // 60_000_000 % 1_440).tolist() == [75, 75, 5]
    texts = NUMBERS["%H%M"].map("{:04d}".format)
    fitted = NumberTransform.fit(texts, "at", "rank", "datetime", "%H%M")
    assert fitted.restore(*fitted.read(texts)).tolist() == texts.tolist()
    short = NUMBERS["%H%M"].astype(str)
    fitted = NumberTransform.fit(short, "at", "rank", "datetime", "%H%M")
    assert fitted.restore(*fitted.read(short)).tolist() == short.tolist()


def test_the_century_of_short_years_is_proposed_with_a_warning() -> None:
    first = datetime.date.today().year - 99
    with pytest.warns(MetadataWarning, match=f"column 'since'.*century_starts: {first}.*{first} to {first + 99}"):
        column = Metadata.infer(pd.DataFrame({"since": SHORT})).column("since")
    assert column == Column("since", "datetime", format="%d/%m/%y", century_starts=first)
    again = Metadata.from_dict(Metadata((column,)).to_dict())
    assert again.column("since") == column


def test_proposed_centuries_end_this_year_or_near_it_but_where_enough_texts_are_older() -> None:
    now = datetime.date.today().year

    def days(*years: int) -> list[str]:
        return [f"01/01/{year % 100:02d}" for year in years]

    assert century_of(days(*range(now - 11, now + 1)), "%d/%m/%y") == now - 99
    assert century_of(days(*range(now - 60, now + 4)), "%d/%m/%y") == now - 89
    lately = range(now - 85, now - 30)
    few, enough = days(now - 104, now - 103, *lately), days(*range(now - 106, now - 101), *lately)
    assert century_of(few, "%d/%m/%y", 5) == now - 99, "the century would tell of two people"
    assert century_of(few, "%d/%m/%y") == (now - 104) // 10 * 10
    assert century_of(enough, "%d/%m/%y", 5) == (now - 106) // 10 * 10


def test_short_years_without_a_century_are_refused_with_the_cure() -> None:
    table = pd.DataFrame({"since": SHORT})
    with pytest.raises(ColumnTypeError, match=r"column 'since'.*century_starts: \d{4}"):
        Metadata.of({"datetime": {"since": {"format": "%d/%m/%y"}}}).validate(table)
    Metadata.of({"datetime": {"since": {"format": "%d/%m/%y", "century_starts": 1930}}}).validate(table)


@pytest.mark.parametrize(
    "options",
    [
        {"format": "%d/%m/%Y", "century_starts": 1930},
        {"century_starts": 1930},
        {"format": "%d/%m/%y", "century_starts": "1930"},
        {"format": "%d/%m/%y", "century_starts": True},
        {"format": "%d/%m/%y", "century_starts": 0},
    ],
)
def test_a_century_without_use_is_refused(options: dict) -> None:
    with pytest.raises(MetadataError) as caught:
        Metadata.of({"datetime": {"since": options}})
    assert caught.value.problems[0].where == "datetime.since.century_starts"


def test_one_century_for_transforms_conditions_and_evaluation() -> None:
    column = Column("since", "datetime", format="%d/%m/%y", century_starts=1930)
    fitted = NumberTransform.fit(SHORT, "since", "rank", "datetime", *column.date_options)
    fitted = NumberTransform.from_plain(pickle.loads(pickle.dumps(fitted.to_plain())), "rank", "datetime")
    assert fitted.restore(*fitted.read(SHORT)).tolist() == SHORT.tolist()
    numbers, missing = fitted.read(SHORT)
    met = fitted.met_by(Condition.of((">=", "1980-01-01")), numbers, missing)
    assert SHORT[met].unique().tolist() == ["07/07/85", "20/01/02"]
    with pytest.raises(ConditionError):
        fitted.allow(Condition.of((">=", "2003-01-01")))
    table = pd.DataFrame({"since": SHORT})
    coded = code_tables({"real": table, "synthetic": table}, Metadata((column,)))
    years = pd.to_datetime(coded.cells("real", "since")).year
    assert sorted(set(years)) == [1938, 1964, 1985, 2002]


def test_a_day_that_a_century_does_not_have_is_no_date() -> None:
    readable = read_texts(["29/02/00", "28/02/00"], "%d/%m/%y", 1900)[1]
    assert readable.tolist() == [False, True]


def test_evaluation_reads_whole_numbers_by_their_format() -> None:
    described = Metadata.of({"datetime": {"when": {"format": "%Y%m%d"}}})
    table = pd.DataFrame({"when": NUMBERS["%Y%m%d"]})
    coded = code_tables({"real": table, "synthetic": table.astype("Int64")}, described)
    assert (pd.to_datetime(coded.cells("synthetic", "when")) == pd.DatetimeIndex(DAYS)).all()


@pytest.mark.long
@pytest.mark.parametrize("decoder", ["autoregressive", "independent"])
def test_a_generator_draws_only_dates_that_exist(decoder: str) -> None:

    days = pd.Series(pd.date_range("2010-01-01", periods=600)).sample(frac=1, random_state=0, ignore_index=True)
    stay = pd.to_timedelta(RNG.integers(0, 40, 600), "D")
    table = pd.DataFrame({
        "admitted": days.dt.strftime("%Y%m%d").astype(np.int32),
        "left": (days + stay).dt.strftime("%Y%m%d").astype("Int64"),
        "at": RNG.integers(0, 24, 600) * 100 + RNG.integers(0, 60, 600),
        "since": (pd.Timestamp("1935-01-01") + pd.to_timedelta(RNG.integers(0, 20_000, 600), "D")).strftime("%d/%m/%y"),
        "age": RNG.integers(20, 90, 600),
    })  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        described = Metadata.infer(table)
        model = TVAESynthesizer(
            table, described, decoder=decoder, epochs=2, privacy="none", random_state=0, verbose=False
        ).fit()
        drawn = model.sample(300, conditions={"admitted": (">=", 20110101), "since": (">=", "1980-01-01")})
    assert described.of_kind("datetime") == ("admitted", "left", "at", "since")
    assert (drawn.dtypes == table.dtypes).all()
    assert (pd.to_datetime(drawn["left"].astype(str)) >= pd.to_datetime(drawn["admitted"].astype(str))).all()
    assert drawn["admitted"].min() >= 20110101
    assert set(drawn["since"].str[-2:].astype(int)) <= set(range(80, 90))
    described.validate(drawn)


def test_a_report_shows_times_of_a_day_without_a_day() -> None:
    column = Column("at", "datetime", format="%H%M")
    table = pd.DataFrame({"at": NUMBERS["%H%M"]})
    times = code_tables({"real": table}, Metadata((column,))).cells("real", "at")
    edges, labels = date_edges(times.min(), times.max())
    assert (labels[0], labels[9], labels[-1]) == ("00:00", "09:00", "24:00")
    assert len(edges) == len(labels) == 25


@pytest.mark.long
@pytest.mark.parametrize("gap", [float("nan"), None])
def test_gaps_of_whole_numbers_that_had_none_are_filled(gap: float | None) -> None:
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, 300), "D")
    end = start + pd.to_timedelta(RNG.integers(0, 20, 300), "D")
    df = pd.DataFrame({name: at.strftime("%Y%m%d").astype("int64") for name, at in [("start", start), ("end", end)]})
    with pytest.warns(MetadataWarning, match="whole numbers"):
        metadata = Metadata.infer(df).with_relations(df)
    synth = TVAESynthesizer(df, metadata, random_state=1, epochs=5, privacy="none", verbose=False).fit()
    gaps = df.head(20).astype({"end": object if gap is None else float})
    gaps.loc[:9, "end"] = gap
    filled = synth.impute(gaps, random_state=1)
    assert filled["end"].notna().all()
    assert (filled["end"].astype(int) >= filled["start"]).all()
    assert filled["end"].astype(int).tolist()[10:] == df["end"].tolist()[10:20]
