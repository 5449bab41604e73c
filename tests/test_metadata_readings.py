"""Tables as people keep them: units, limits, marks, markers and odd cells in text; read, learnt, and written as they were."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.cli import app
from clover_tvae.errors import ColumnTypeError, DataError, MetadataError
from clover_tvae.tables import read_table

pytestmark = pytest.mark.filterwarnings("ignore::clover_tvae.errors.CloverWarning")

N = 400
TINY = {"epochs": 2, "random_state": 1, "verbose": False, "privacy": "none"}


def cli(*args: object):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def ward() -> tuple[pd.DataFrame, dict]:
    """A table in which every way of reading occurs, and the metadata that say how."""
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, N), "D")
    df = pd.DataFrame(
        {
            "weight": [f"{x:.1f} kg" for x in rng.normal(70, 10, N)],
            "crp": ["<5" if x < 5 else f"{x:.0f}" for x in rng.lognormal(2, 1, N)],
            "pressure": [f"{a}/{b}" for a, b in zip(rng.integers(110, 170, N), rng.integers(60, 100, N), strict=True)],
            "smokes": rng.choice(["yes", "no", "Unknown"], N),
            "seen": [day.strftime("%d/%m/%Y" if i % 3 else "%Y-%m-%d") for i, day in enumerate(days)],
            "age": [999 if i % 20 == 0 else int(x) for i, x in enumerate(rng.uniform(20, 90, N))],
            "cost": [f"${x:,.2f}" for x in rng.lognormal(7, 1, N)],
        }
    )
    number = {"read_as": "number"}
    metadata = {
        "continuous": {
            "weight": {**number, "unit": "kg", "decimals": 1, "odd": "missing"},
            "crp": {**number, "below": 5},
            "systole": {**number, "part_of": "pressure", "part": 1},
            "diastole": {**number, "part_of": "pressure", "part": 2},
            "age": {"missing": [999]},
            "cost": {**number, "unit": "$#", "thousands": ",", "decimals": 2},
        },
        "boolean": {"smokes": {"true": "yes", "false": "no", "missing": ["unknown"]}},
        "datetime": {"seen": {"format": "%d/%m/%Y", "formats": ["%Y-%m-%d"]}},
    }
    return df, metadata


SHAPES = {
    "weight": r"-?\d+\.\d kg", "crp": r"<5|\d+", "pressure": r"\d+/\d+", "smokes": "yes|no", "seen": r"\d\d/\d\d/\d{4}", "cost": r"\$[\d,]+\.\d\d",
}  # fmt: skip


def test_a_table_is_read_learnt_and_written_as_it_was() -> None:
    df, said = ward()
    metadata = Metadata.of(said)
    read = metadata.read(df)
    assert list(read) == ["weight", "crp", "systole", "diastole", "smokes", "seen", "age", "cost"]
    assert read["crp"].min() == 4
    assert read["age"].isna().sum() == (df["age"] == 999).sum()
    assert metadata.read(read).equals(read), "reading twice changes nothing"
    assert metadata.written(read)[["weight", "crp", "pressure", "cost"]].equals(
        df[["weight", "crp", "pressure", "cost"]]
    )
    assert Metadata.from_dict(metadata.to_dict()) == metadata

    synth = TVAESynthesizer(df, said, **TINY).fit()
    rows = synth.sample(100)
    assert list(rows) == list(df)
    for name, shape in SHAPES.items():
        assert rows[name].dropna().str.fullmatch(shape).all(), name
    assert not (rows["age"] == 999).any()
    old = synth.sample(20, conditions={"smokes": "Yes", "weight": (">=", "75 kg"), "systole": ("between", 120, 150)})
    assert (old["smokes"] == "yes").all()
    assert (metadata.read(old)["weight"] >= 75).all()
    assert metadata.read(old)["systole"].between(120, 150).all()


def test_the_file_of_a_generator_reads_and_writes_the_same(tmp_path: Path) -> None:
    df, said = ward()
    synth = TVAESynthesizer(df, said, generator_filepath=tmp_path / "g.pkl", **TINY).fit()
    loaded = TVAESynthesizer.load(tmp_path / "g.pkl")
    assert loaded.sample(30, random_state=4).equals(synth.sample(30, random_state=4))
    assert loaded.anomaly_scores(df)["score"].notna().all()
    assert loaded.told_apart(df) == []
    whole = loaded.impute(df)
    assert (whole["weight"] == df["weight"]).all(), "what is known stays as it is spelt"
    assert whole["smokes"].isin(["yes", "no"]).all()
    balanced = loaded.balance("smokes", df=df)
    assert balanced["smokes"].value_counts().nunique() == 1
    shares = loaded.balance("smokes", {"yes": 0.75}, df=df)["smokes"].value_counts(normalize=True)
    assert abs(shares["yes"] - 0.75) < 0.01


def test_a_file_is_read_as_a_data_frame_is(tmp_path: Path) -> None:
    df, said = ward()
    df.to_csv(tmp_path / "t.csv", index=False)
    metadata = Metadata.of(said)
    pd.testing.assert_frame_equal(metadata.read(read_table(tmp_path / "t.csv", metadata)), metadata.read(df))


def test_figures_are_those_of_the_numbers() -> None:
    from clover_tvae.evaluation import measure

    df, said = ward()
    other = df.sample(frac=1.0, random_state=1).reset_index(drop=True)
    figures = measure(df[:200], other[:200], None, said)
    numbers = measure(Metadata.of(said).read(df[:200]), Metadata.of(said).read(other[:200]), None, said)
    assert figures["fidelity.shape"].value == numbers["fidelity.shape"].value


def test_cells_that_cannot_be_read_are_counted_and_placed_but_not_quoted() -> None:
    df, said = ward()
    df.loc[[3, 7], "crp"] = "Canary"
    df.loc[0, "smokes"] = "Canary"
    with pytest.raises(DataError) as refused:
        TVAESynthesizer(df, said, **TINY).fit()
    text = str(refused.value)
    assert "column 'crp'" in text
    assert "2 of 400 cells that are none (data rows 4, 8)" in text
    assert "column 'smokes'" in text, "all problems at once"
    assert "Canary" not in text
    df, said = ward()
    df.loc[:40, "weight"] = "Canary"
    with pytest.raises(ColumnTypeError, match=r"odd: missing takes at most 5% of the cells"):
        Metadata.of(said).read(df)


@pytest.mark.parametrize(
    ("kind", "options", "fault"),
    [
        ("continuous", {"unit": "kg"}, "needs read_as: number"),
        ("continuous", {"read_as": "nuber"}, "must be 'number'"),
        ("continuous", {"read_as": "number", "decimal": ",", "thousands": ","}, "another mark than 'decimal'"),
        ("continuous", {"read_as": "number", "part_of": "bp"}, "stand beside each other"),
        ("continuous", {"read_as": "number", "part_of": "bp", "part": 3}, "must be 1 or 2"),
        ("continuous", {"read_as": "number", "unit": "##"}, "must be what stands around the number"),
        ("continuous", {"read_as": "number", "decimals": -1}, "whole number from 0 to 15"),
        ("continuous", {"read_as": "number", "below": "5"}, "must be a finite number"),
        ("continuous", {"missing": "unknown"}, "must be a list of the texts and numbers"),
        ("categorical", {"missing": [None]}, "must hold texts and numbers"),
        ("categorical", {"unit": "kg"}, "belongs to continuous"),
        ("boolean", {"true": "yes"}, "stand beside each other"),
        ("boolean", {"true": "yes", "false": "YES"}, "another word"),
        ("datetime", {"formats": ["%Y"]}, "needs a format beside it"),
        ("datetime", {"format": "%Y", "formats": ["%Q"]}, "unknown directive"),
        ("datetime", {"format": "%Y", "odd": "drop"}, "must be 'missing'"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused_with_their_place(kind: str, options: dict, fault: str) -> None:
    with pytest.raises(MetadataError, match=fault):
        Metadata.of({kind: {"x": options}})


# ------------------------------------------------------------------------------------------------ proposals


def propose(cells: object, word: str = "", name: str = "x") -> tuple[Metadata, str]:
    df = pd.DataFrame({name: cells})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = Metadata.infer(df, set={name: word} if word else None)
    made.read(df)
    return made, " ".join(str(warning.message) for warning in caught)


RNG = np.random.default_rng(3)
KG = RNG.normal(70, 12, N)
DATES = pd.Timestamp("2015-01-01") + pd.to_timedelta(RNG.integers(0, 2000, N), "D")
EARLY = [f"{d:02d}/{m:02d}/2019" for d, m in zip(RNG.integers(1, 13, N), RNG.integers(1, 13, N), strict=True)]


def with_cells(cells: list, other: object, n: int) -> list:
    return [*[other] * n, *cells[n:]]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([f"{x:.1f}".replace(".", ",") for x in KG], {"decimal": ",", "decimals": 1}),
        ([f"{x:.0f} kg" for x in KG], {"unit": "kg"}),
        ([f"{x:.0f}{' ' * (i % 2)}{'KG' if i % 3 else 'kg'}" for i, x in enumerate(KG)], {"unit": "#KG"}),
        ([f"{x:.0f}%" for x in KG], {"unit": "#%"}),
        ([f"${100 * x:,.2f}" for x in KG], {"unit": "$#", "thousands": ",", "decimals": 2}),
        (
            [f"{100 * x:,.2f}".translate(str.maketrans(",.", ".,")) for x in KG],
            {"decimal": ",", "thousands": ".", "decimals": 2},
        ),
        (
            [f"{100 * x:,.1f}".translate(str.maketrans(",.", "\u00a0,")) for x in KG],
            {"decimal": ",", "thousands": " ", "decimals": 1},
        ),
        ([f"\u2212{x:.1f}" for x in KG], {"decimals": 1}),
        (["<50" if x < 50 else f"{x:.0f}" for x in KG], {"below": 50}),
        ([">90" if x > 90 else f"{x:.1f}" for x in KG], {"above": 90, "decimals": 1}),
        (with_cells([f"{x:.1f}" for x in KG], "N/A", 40), {"decimals": 1, "missing": ["n/a"]}),
        (with_cells([f"{x:.1f}" for x in KG], "see letter", 1), {"decimals": 1, "odd": "missing"}),
    ],
)
def test_numbers_in_text_are_read_in_the_one_way_that_fits(cells: list, expected: dict) -> None:
    made, told = propose(cells)
    assert made.to_dict()["continuous"] == [{"name": "x", "read_as": "number", **expected}]
    assert "numbers written as text" in told
    assert "see letter" not in told
    kept, _ = propose(cells, "category")
    assert kept.to_dict()["categorical"] == ["x"]


@pytest.mark.parametrize(
    ("cells", "words", "settled"),
    [
        (
            [f"{x:.0f},{i:03d}" for i, x in enumerate(KG)],
            ("decimal-comma", "decimal-point"),
            {"decimal-comma": {"decimal": ",", "decimals": 3}, "decimal-point": {"thousands": ","}},
        ),
        (
            with_cells([f"{x:.1f}" for x in KG], "haemolysed", 40),
            ("number",),
            {"number": {"decimals": 1, "missing": ["haemolysed"]}},
        ),
        (
            [f"{x:.1f}{' kg' * (i % 3 > 0)}" for i, x in enumerate(KG)],
            ("number",),
            {"number": {"decimals": 1, "unit": "kg"}},
        ),
        (with_cells([f"{x:.1f}" for x in KG], "<60", 60), ("number",), {"number": {"decimals": 1, "below": 60}}),
    ],
)
def test_what_can_be_read_in_two_ways_is_left_until_a_word_says_which(cells: list, words: tuple, settled: dict) -> None:
    made, told = propose(cells)
    assert made.of_kind("continuous") == ()
    assert made.review[0].asks
    assert all(word in told for word in words)
    for word, options in settled.items():
        assert propose(cells, word)[0].to_dict()["continuous"] == [{"name": "x", "read_as": "number", **options}]


def test_a_comma_is_never_taken_for_thousands_without_a_word() -> None:
    cells = [f"{x:.0f},{i:03d}" for i, x in enumerate(KG)]
    with pytest.raises(MetadataError, match=r"'number' does not settle it.*decimal-comma or decimal-point"):
        propose(cells, "number")
    df = pd.DataFrame({"x": ["23,456"] * 3})
    assert Metadata.infer(df, set={"x": "decimal-comma"}).read(df)["x"].tolist() == [23.456] * 3
    assert Metadata.infer(df, set={"x": "decimal-point"}).read(df)["x"].tolist() == [23456] * 3


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (DATES.strftime("%d/%m/%Y"), {"format": "%d/%m/%Y"}),
        (DATES.strftime("%d%m%Y"), {"format": "%d%m%Y"}),
        (DATES.strftime("%Y%m%d"), {"format": "%Y%m%d"}),
        (DATES.strftime("%d%m%Y").astype(int), {"format": "%d%m%Y"}),
        ([f"{i % 24:02d}:{7 * i % 60:02d}" for i in range(N)], {"format": "%H:%M"}),
        ([f"{i % 24:02d}{7 * i % 60:02d}" for i in range(N)], {"format": "%H%M"}),
        (with_cells([*DATES.strftime("%Y-%m-%d")], "31.12.2019", 50), {"format": "%Y-%m-%d", "formats": ["%d.%m.%Y"]}),
        (with_cells([*DATES.strftime("%Y-%m-%d")], "unknown", 50), {"format": "%Y-%m-%d", "missing": ["unknown"]}),
        (with_cells([*DATES.strftime("%Y-%m-%d")], "30/02/19", 1), {"format": "%Y-%m-%d", "odd": "missing"}),
    ],
)
def test_dates_are_read_by_their_formats(cells: object, expected: dict) -> None:
    made, _ = propose(cells)
    assert made.to_dict()["datetime"] == [{"name": "x", **expected}]
    df = pd.DataFrame({"x": cells, "y": range(N)})
    Metadata.infer(df).validate(df)


@pytest.mark.parametrize(
    "cells", [EARLY, [day.replace("/", "") for day in EARLY], [int(day.replace("/", "")) for day in EARLY]]
)
def test_day_and_month_are_not_guessed(cells: list) -> None:
    made, told = propose(cells)
    assert made.of_kind("datetime") == ()
    assert "day-first or month-first" in told
    for word, first in (("day-first", "%d"), ("month-first", "%m")):
        assert propose(cells, word)[0].column("x").format.startswith(first)


def test_words_are_read_as_truth_and_as_scales() -> None:
    truth, _ = propose(RNG.choice(["TRUE", "FALSE"], N))
    assert truth.to_dict()["boolean"] == [{"name": "x", "true": "TRUE", "false": "FALSE"}]
    three = RNG.choice(["yes", "no", "unknown"], N)
    assert propose(three)[0].of_kind("categorical") == ("x",), "unknown may be an answer"
    assert propose(three, "boolean")[0].column("x").missing == ("unknown",)
    for levels in (["low", "medium", "high"], ["Mild", "Moderate", "Severe"], ["I", "II", "IV"], ["-", "+", "++"]):
        order = propose(RNG.choice(levels, N))[0].column("x").order
        assert [level for level in order if level in levels] == levels
    assert propose(RNG.choice(["low", "medium", "other"], N))[0].of_kind("categorical") == ("x",)


def test_markers_are_named_with_their_counts_and_taken_by_a_word() -> None:
    ages = with_cells([*range(18, 98)] * 5, 999, 30)
    made, told = propose(ages)
    assert made.column("x").missing is None
    assert "30 cells 999" in told
    assert propose(ages, "missing")[0].column("x").missing == (999,)
    assert propose(ages, "missing:999;-1")[0].column("x").missing == (999, -1)
    assert propose(ages, "keep")[0].column("x").missing is None
    few = with_cells([*range(18, 98)] * 5, 999, 4)
    assert "999" not in propose(few)[1], "what fewer than five people share is not told"
    sexes = with_cells([*RNG.choice(["F", "M"], N)], "n/a", 20)
    assert propose(sexes, "missing")[0].column("x").missing == ("n/a",)


def test_pairs_become_two_columns_that_are_joined_again() -> None:
    cells = [f"{a}/{b} mmHg" for a, b in zip(RNG.integers(100, 180, N), RNG.integers(50, 100, N), strict=True)]
    df = pd.DataFrame({"bp": cells})
    made = Metadata.infer(df)
    assert made.of_kind("continuous") == ("bp_1", "bp_2")
    assert made.written(made.read(df)).equals(df)
    taken = Metadata.infer(pd.DataFrame({"bp": cells, "bp_1": range(N)}))
    assert "bp" in taken.names


def test_an_odd_cell_is_named_by_its_row_and_never_quoted() -> None:
    cells = [f"{x:.1f}" for x in KG]
    cells[41] = "CANARY"
    _, told = propose(cells)
    assert "but for 1 cells (data row 42)" in told
    assert "CANARY" not in told
    mixed = [*[int(x) for x in KG[1:]], "CANARY"]
    made, told = propose(mixed)
    assert made.to_dict()["continuous"] == [{"name": "x", "odd": "missing"}]
    assert "CANARY" not in told


def test_columns_of_mostly_numbers_are_warned_about_with_the_count() -> None:
    units = [f"{x:.0f} {'kg' if i % 2 else 'lb'}" for i, x in enumerate(KG)]
    assert "holds mostly numbers (400 of 400 cells) in 2 units" in propose(units)[1]
    words = [f"{x:.1f}" if i % 4 else f"word {i}" for i, x in enumerate(KG)]
    assert "holds mostly numbers (300 of 400 cells)" in propose(words)[1]
    codes = [f"{10_000_000 + 7 * i}{'ABCDEFGH'[i % 8]}{100 + i}" for i in range(400)]
    made, told = propose(codes)
    assert made.of_kind("id") == ("x",)
    assert "mostly numbers" not in told
    heights = [f"<{5 + i % 9}" if i % 4 == 0 else f"{x:.1f}" for i, x in enumerate(KG)]
    assert "mostly numbers (3" in propose(heights)[1]


def test_words_that_do_not_fit_are_refused_together_with_the_nearest() -> None:
    df = pd.DataFrame({"weight": [f"{x:.0f} kg" for x in KG], "sex": RNG.choice(["F", "M"], N)})
    with pytest.raises(MetadataError) as refused:
        Metadata.infer(df, set={"wieght": "number", "sex": "nmber", "weight": "boolean"})
    text = str(refused.value)
    assert "no column is called 'wieght'; did you mean 'weight'?" in text
    assert "did you mean 'number'?" in text
    assert "column 'weight': 'boolean' does not settle it" in text


# ------------------------------------------------------------------------------------------------ a hospital's table


def hospital(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """22 columns as an export of a hospital has them."""
    rng = np.random.default_rng(seed)

    def days(low: str, span: int) -> pd.DatetimeIndex:
        return pd.Timestamp(low) + pd.to_timedelta(rng.integers(0, span, n), "D")

    def some(cells: list, share: float, marker: str) -> list:
        return [marker if rng.random() < share else cell for cell in cells]

    def numbers(mean: float, sd: float, digits: int) -> list:
        return [f"{x:.{digits}f}" for x in rng.normal(mean, sd, n)]

    weights = [f"{x} kg" for x in numbers(75, 14, 1)]
    weights[17] = "refused"
    return pd.DataFrame(
        {
            "patient_no": [f"P{100000 + i}" for i in rng.permutation(n)],
            "age": [999 if rng.random() < 0.03 else int(x) for x in rng.uniform(18, 97, n)],
            "sex": rng.choice(["M", "F"], n),
            "born": days("1930-01-01", 25000).strftime("%d%m%Y"),
            "admitted": [day.strftime("%d/%m/%Y" if rng.random() < 0.8 else "%Y-%m-%d") for day in days("2018-01-01", 1500)],
            "arrived_at": [f"{h:02d}:{m:02d}" for h, m in zip(rng.integers(0, 24, n), rng.integers(0, 60, n), strict=True)],
            "weight": weights,
            "height": some([f"{x} m".replace(".", ",") for x in numbers(1.7, 0.1, 2)], 0.02, ""),
            "blood_pressure": some([f"{a}/{b}" for a, b in zip(rng.integers(95, 190, n), rng.integers(50, 110, n), strict=True)], 0.04, "n/a"),
            "temperature": [x.replace(".", ",") for x in numbers(37.2, 0.7, 1)],
            "crp": ["<5" if x < 5 else f"{x:.0f}" for x in rng.lognormal(2.3, 1.0, n)],
            "egfr": [">90" if x > 90 else f"{x:.0f}" for x in rng.normal(78, 20, n)],
            "potassium": some(numbers(4.2, 0.5, 1), 0.05, "haemolysed"),
            "oxygen": [f"{int(x)}%" for x in np.clip(rng.normal(95, 3, n), 70, 100)],
            "cost": [f"${x:,.2f}" for x in rng.lognormal(8, 1, n)],
            "insured": rng.choice(["yes", "no"], n, p=[0.8, 0.2]),
            "smoker": rng.choice(["yes", "no", "unknown"], n),
            "pain": rng.choice(["none", "mild", "moderate", "severe"], n),
            "stage": rng.choice(["I", "II", "III", "IV"], n),
            "protein": rng.choice(["-", "+", "++", "+++"], n, p=[0.6, 0.2, 0.15, 0.05]),
            "icd10": rng.choice(["I10", "E11", "J44", "C34"], n),
            "remark": [f"patient seen on ward {i % 7}, complains of pain number {i} since yesterday evening" for i in range(n)],
        }
    )  # fmt: skip


RIGHT = {
    "continuous": {"age", "weight", "height", "blood_pressure_1", "blood_pressure_2", "temperature", "crp", "egfr", "potassium", "oxygen", "cost"},
    "categorical": {"sex", "smoker", "icd10"},
    "boolean": {"insured"},
    "ordinal": {"pain", "stage", "protein"},
    "datetime": {"born", "admitted", "arrived_at"},
    "id": {"patient_no"},
    "ignore": {"remark"},
}  # fmt: skip


def test_a_hospital_table_is_typed_right_with_three_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hospital().to_csv("ward.csv", index=False)
    first = cli("metadata", "infer", "ward.csv", "-o", "first.json")
    assert first.exit_code == 0, first.output
    assert "--set age=missing|keep --set potassium=number|category|drop" in " ".join(first.stderr.split())
    assert "but for 1 cells (data row 18)" in " ".join(first.stdout.split())
    assert "refused" not in first.output
    words = ("--set", "age=missing", "--set", "potassium=number", "--set", "born=date")
    said = cli("metadata", "infer", "ward.csv", "-o", "ward.json", *words)
    assert said.exit_code == 0, said.output
    metadata = Metadata.load("ward.json")
    assert {kind: set(metadata.of_kind(kind)) for kind in RIGHT} == RIGHT
    assert metadata.column("age").missing == (999,)
    df = read_table("ward.csv", metadata)
    synth = TVAESynthesizer(df, "ward.json", **TINY).fit()
    rows = synth.sample(60)
    assert list(rows) == [name for name in df if name not in ("patient_no", "remark")]
    metadata.read(rows.assign(patient_no="P", remark=""))
    assert rows["blood_pressure"].dropna().str.fullmatch(r"\d+/\d+").all()
    assert rows["temperature"].str.fullmatch(r"\d+,\d").all()
    assert rows["born"].str.fullmatch(r"\d{8}").all()
    wrong = cli("metadata", "infer", "ward.csv", "-o", "x.json", "--set", "age")
    assert (wrong.exit_code, "must be COLUMN=WORD" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([["<60", "<50"][i % 2] if x < 60 else f"{x:.0f}" for i, x in enumerate(KG)], "limits of several heights"),
        ([f"{x:.1f}".replace(".", ".,"[i % 2]) for i, x in enumerate(KG)], "decimal marks differ"),
        ([f"{i % 12 + 1}A" for i in range(N)], "a letter follows them"),
        (with_cells([f"{x:.0f} kg" for x in KG], "999", 20), "20 cells '999' are none"),
        ([day.strftime(["%d/%m/%Y", "%m/%d/%Y"][i % 2]) for i, day in enumerate(DATES)], "some have the day first and others the month"),
        ([day.strftime(["%Y-%m-%dT12:30Z", "%Y-%m-%d 12:30"][i % 2]) for i, day in enumerate(DATES)], "some with their offset"),
    ],
)  # fmt: skip
def test_what_does_not_compare_is_left_with_the_reason(cells: list, told: str) -> None:
    made, warning = propose(cells)
    assert made.of_kind("continuous", "datetime") == ()
    assert told in warning


def test_spellings_that_do_not_come_back_are_counted() -> None:
    assert (
        "400 are spelt otherwise"
        in propose([f"{100 * x:,.1f}".replace(",", "\u00a0").replace(".", ",") for x in KG])[1]
    )
    assert "spelt otherwise" not in propose([f"-${x:.2f}" for x in KG])[1]


def test_a_marker_of_dates_in_text_is_taken_by_its_value() -> None:
    cells = with_cells([*DATES.strftime("%Y%m%d")], "99999999", 15)
    column = propose(cells, "missing:99999999")[0].column("x")
    assert (column.format, column.missing) == ("%Y%m%d", (99999999,))


def test_long_columns_of_different_texts_are_looked_at_in_a_moment() -> None:
    """One look at each text: looking at all again for each would take minutes."""
    calls = []

    class Counted(str):
        def casefold(self) -> str:
            calls.append(self)
            return super().casefold()

    from clover_tvae.metadata.proposals import Texts, look_at_texts

    cells = pd.Series([f"note {i} of the ward" for i in range(3_000)], dtype=object)
    texts = Texts("x", cells, np.arange(3_000))
    texts.__dict__["counts"] = {Counted(text): 1 for text in cells}
    look_at_texts(texts)
    assert len(calls) < 20 * len(cells)


@pytest.mark.long
@pytest.mark.usefixtures("few_rounds")
def test_a_job_reads_its_table_by_the_metadata_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    df, said = ward()
    df.to_csv("ward.csv", index=False)
    Metadata.of({**said, "variable_to_predict": "smokes"}).save("ward.json")
    conditions = '{systole: {">=": 120}, smokes: "yes", weight: {">=": 60}}'
    Path("jobs.yaml").write_text(
        "version: 1\njobs:\n  - {name: ward, data: ward.csv, metadata: ward.json, generator_filepath: o/g.pkl, report: o/r.html,\n"
        "     synthesizer: {random_state: 1, epochs: 2, privacy: none},\n"
        f"     sample: {{rows: 30, output: o/s.csv, seed: 1, conditions: {conditions}}}}}\n"
    )
    assert cli("validate", "jobs.yaml").exit_code == 0
    ran = cli("run", "jobs.yaml", "--quiet")
    assert ran.exit_code == 0, ran.output
    rows = pd.read_csv("o/s.csv", dtype=str)
    assert rows["pressure"].str.fullmatch(r"1[2-9]\d/\d+").all()
    assert (rows["smokes"] == "yes").all()
    assert "up to date" in cli("run", "jobs.yaml").output
    Path("jobs.yaml").write_text(Path("jobs.yaml").read_text().replace("systole: {", "pressure: {"))
    assert "no modelled column 'pressure'" in cli("validate", "jobs.yaml").stderr


def test_a_sheet_with_cells_of_several_types_is_read_where_the_metadata_says_how(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    workbook = pytest.importorskip("xlsxwriter").Workbook(str(tmp_path / "t.xlsx"))
    sheet = workbook.add_worksheet()
    sheet.write_row(0, 0, ["weight", "crp"])
    for row in range(1, 41):
        sheet.write_row(row, 0, ["see note" if row == 5 else 60.5 + row % 9, "<5" if row % 4 == 0 else 5 + row])
    workbook.close()
    with pytest.raises(ColumnTypeError, match=r"text in data row 5.*odd: missing"):
        read_table(tmp_path / "t.xlsx")
    metadata = Metadata.of({"continuous": {"weight": {"odd": "missing"}, "crp": {"read_as": "number", "below": 5}}})
    read = metadata.read(read_table(tmp_path / "t.xlsx", metadata))
    assert read["weight"].isna().tolist() == [row == 5 for row in range(1, 41)]
    assert (read["crp"] == 4).sum() == 10
    assert (metadata.written(read)["crp"] == "<5").sum() == 10
