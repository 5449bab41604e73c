"""Tables as people keep them: units, limits, marks, markers and odd cells in text; read, learnt, and written as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.errors import ColumnTypeError, DataError, MetadataError
from clover_tvae.tables import read_table

N = 400
TINY = {"epochs": 2, "random_state": 1, "verbose": False, "privacy": "none"}


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
