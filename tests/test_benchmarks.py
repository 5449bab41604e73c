"""The benchmarks do what their README says, on tables made here; their figures on real tables are not tested."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import needs_sdv, refuses

from clover_tvae.errors import ColumnsMismatchError, TableFileError
from clover_tvae.evaluation import shape_error, trend_error
from clover_tvae.tables import write_table

pytestmark = pytest.mark.long

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """The scripts, imported as they import each other: from their own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import anomaly
        import fidelity
        import growth
        import peers
        import real_tables
        import speed

        yield SimpleNamespace(
            anomaly=anomaly, fidelity=fidelity, growth=growth, peers=peers, tables=real_tables, speed=speed
        )


def make_magic(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=n)
    numbers = {f"f{i}": np.round(base * i / 3 + rng.normal(size=n), 4) for i in range(4)}
    return pd.DataFrame({**numbers, "class": np.where(base + rng.normal(size=n) > 0, "g", "h")})


def make_adult(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    names = ["workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country"]
    texts = {name: rng.choice(["A", "B", "C"], n, p=[0.6, 0.3, 0.1]) for name in names}
    age = rng.integers(17, 91, n)
    return pd.DataFrame({"age": age, **texts, "income": np.where(age + rng.normal(0, 9, n) > 60, ">50K", "<=50K")})


def make_employees(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    department = rng.choice(["POL", "FRS", "HHS"], n)
    hired = pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), unit="D")
    gender = pd.Series(rng.choice(["F", "M"], n)).mask(rng.random(n) < 0.05)
    return pd.DataFrame(
        {
            "gender": gender,
            "department": department,
            "department_name": [f"Department {code}" for code in department],
            "division": [f"Division {code}" for code in department],
            "assignment_category": rng.choice(["Fulltime", "Parttime"], n, p=[0.9, 0.1]),
            "employee_position_title": [f"Title {code}" for code in department],
            "date_first_hired": hired.strftime("%Y-%m-%d"),
            "year_first_hired": hired.year,
            "current_annual_salary": np.round(rng.gamma(20, 4000, n), 2),
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_table(make_magic(2000, 0), folder / "magic04.csv")
    write_table(make_adult(300, 1), folder / "adult_train.csv")
    write_table(make_adult(120, 2), folder / "adult_test.csv")
    write_table(make_employees(1000, 3), folder / "employee_salaries.csv")
    return folder


# -- the tables -------------------------------------------------------------------------------------------------------


def test_a_table_is_split_90_to_10_and_another_seed_is_another_split(bench: SimpleNamespace, data: Path) -> None:
    parts = [bench.tables.load(data, "magic", seed) for seed in (1, 1, 2)]
    assert [(len(one.train), len(one.test)) for one in parts] == [(1800, 200)] * 3
    whole = make_magic(2000, 0)
    whole = whole.sort_values(list(whole), ignore_index=True)
    for one in parts:
        together = pd.concat([one.train, one.test]).sort_values(list(whole), ignore_index=True)
        pd.testing.assert_frame_equal(together, whole)
    pd.testing.assert_frame_equal(parts[0].test, parts[1].test)
    assert not parts[0].test.equals(parts[2].test)


def test_adult_keeps_its_own_test_file(bench: SimpleNamespace, data: Path) -> None:
    parts = bench.tables.load(data, "adult", 1)
    pd.testing.assert_frame_equal(parts.train, make_adult(300, 1))
    pd.testing.assert_frame_equal(parts.test, make_adult(120, 2))
    assert parts.target == parts.metadata.variable_to_predict == "income"


def test_dates_and_gaps_are_read_as_what_they_are(bench: SimpleNamespace, data: Path) -> None:
    parts = bench.tables.load(data, "employees", 1)
    assert parts.metadata.of_kind("datetime") == ("date_first_hired",)
    assert 0 < parts.train["gender"].isna().mean() < 0.1
    parts.metadata.validate(parts.train)


def test_every_table_names_its_target_among_its_categories(bench: SimpleNamespace) -> None:
    assert list(bench.tables.TABLES) == ["adult", "default", "shoppers", "magic", "hr", "support2", "employees"]
    for table in bench.tables.TABLES.values():
        assert table.target in table.categorical
        assert len(set(table.categorical)) == len(table.categorical)


def test_a_wrong_or_missing_file_is_named(bench: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(TableFileError, match=r"magic04\.csv"):
        bench.tables.load(tmp_path, "magic", 1)
    write_table(pd.DataFrame({"f1": [1.0, 2.0]}), tmp_path / "magic04.csv")
    with refuses(ColumnsMismatchError, "magic04.csv"):
        bench.tables.load(tmp_path, "magic", 1)


# -- fidelity ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_rows(bench: SimpleNamespace, data: Path) -> dict[str, dict[str, float]]:
    return bench.fidelity.real_rows(bench.tables.load(data, "magic", 1), seed=1)


def test_the_floor_is_what_a_fresh_sample_scores(bench: SimpleNamespace, data: Path, real_rows: dict) -> None:
    parts, floor = bench.tables.load(data, "magic", 1), real_rows["floor"]
    fresh = [make_magic(len(parts.train), seed) for seed in range(10, 30)]
    shape = np.mean([shape_error(parts.train, one, parts.metadata) for one in fresh])
    trend = np.mean([trend_error(parts.train, one, parts.metadata) for one in fresh])
    assert floor["shape"] == pytest.approx(shape, rel=0.35)
    assert floor["trend_shared"] == pytest.approx(trend, rel=0.35)
    assert floor["c2st"] == pytest.approx(0.5, abs=0.05)
    assert floor["dcr_share"] == pytest.approx(0.5, abs=0.1)
    assert floor["downstream"] > 0.7


def test_real_rows_have_a_bootstrap_and_the_test_part_beside_the_floor(real_rows: dict) -> None:
    rows = real_rows
    assert list(rows) == ["floor", "bootstrap", "test part"]
    # Copies of training rows lie nearer to them than any fresh row; fewer test rows err more than the floor's.
    assert rows["bootstrap"]["dcr_quantile"] > 50 > rows["floor"]["dcr_quantile"]
    assert rows["bootstrap"]["shape"] < rows["floor"]["shape"] < rows["test part"]["shape"]


def test_one_fit_gives_every_figure_and_cost(bench: SimpleNamespace, data: Path) -> None:
    parts = bench.tables.load(data, "magic", 1, n_rows=300)
    measured = bench.fidelity.measure(parts, 1, "autoregressive", epochs=1)
    figures = measured["figures"]["autoregressive"]
    assert list(figures) == [key for key, _, _ in bench.fidelity.FIGURES]
    assert all(math.isfinite(value) for value in figures.values())
    assert 0.5 < figures["c2st"] <= 1
    costs = measured["costs"]
    assert {key for key, _, _ in bench.fidelity.COSTS} == set(costs)
    assert costs["epochs"] == 1
    assert measured["stopped"] == "epochs"


def test_a_benchmark_keeps_its_runs_and_resumes(bench: SimpleNamespace, data: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--data", str(data), "--tables", "magic", "--backends", "independent", "--seeds", "1"]
    arguments += ["--epochs", "1", "--rows", "200", "--output", str(tmp_path)]
    assert bench.fidelity.main(arguments) == 0
    runs = (tmp_path / "runs.jsonl").read_text()
    assert [json.loads(line)["backend"] for line in runs.splitlines()] == ["real", "independent"]
    page = capsys.readouterr().out
    assert page.strip() == (tmp_path / "fidelity.md").read_text().strip()
    for word in ("### magic: 180 x 5 learnt, 20 rows of test", "| floor |", "| test part |", "| independent |", "C2ST"):
        assert word in page
    told = json.loads((tmp_path / "fidelity.json").read_text())
    assert told["settings"] == {"epochs": 1, "rows": 200, "threads": 1}
    assert told["tables"]["magic"]["results"]["independent"]["costs"]["threads"]["median"] == 1

    with pytest.raises(SystemExit):
        bench.fidelity.main(arguments)
    assert "--resume" in capsys.readouterr().err
    # Nothing is left to do, so nothing runs: the file stays as it is.
    assert bench.fidelity.main([*arguments, "--resume"]) == 0
    assert (tmp_path / "runs.jsonl").read_text() == runs


@pytest.mark.slow
@needs_sdv
def test_a_run_that_failed_or_was_cut_short_is_done_again(
    bench: SimpleNamespace, data: Path, tmp_path: Path, capsys
) -> None:
    broken, output = tmp_path / "broken", tmp_path / "output"
    broken.mkdir()
    arguments = ["--tables", "magic", "--backends", "sdv", "--seeds", "1", "--epochs", "1", "--rows", "200"]
    arguments += ["--output", str(output), "--data"]
    assert bench.fidelity.main([*arguments, str(broken)]) == 1
    assert "Failed: magic, seed 1, sdv" in capsys.readouterr().out
    with (output / "runs.jsonl").open("a") as file:
        file.write('{"table": "mag')
    assert bench.fidelity.main([*arguments, str(data), "--resume"]) == 0
    page = capsys.readouterr().out
    assert "Failed" not in page
    assert "| sdv |" in page


def test_unknown_tables_and_backends_are_refused(bench: SimpleNamespace, data: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        bench.fidelity.main(["--data", str(data), "--tables", "magic,mushrooms", "--backends", "gan"])
    assert "unknown: mushrooms, gan" in capsys.readouterr().err


def _run(bench: SimpleNamespace, seed: int, shape: float, **more: object) -> dict[str, object]:
    figures = {key: shape for key, _, _ in bench.fidelity.FIGURES} | {"dcr_share": None}
    costs = {key: 10 * seed for key, _, _ in bench.fidelity.COSTS}
    return {
        "table": "magic",
        "seed": seed,
        "backend": "autoregressive",
        "settings": {"epochs": None, "rows": None, "threads": 1},
        "rows": 1800,
        "columns": 5,
        "test_rows": 200,
        "figures": {"autoregressive": figures},
        "costs": costs,
        "stopped": "patience",
        "versions": {"python": "3"},
        **more,
    }


def test_the_page_tells_medians_and_ranges_over_the_seeds(bench: SimpleNamespace) -> None:
    failed = {"table": "magic", "seed": 4, "backend": "sdv", "settings": {}, "error": "MemoryError"}
    runs = [_run(bench, 1, 0.5), _run(bench, 2, 0.9), _run(bench, 3, 0.6), failed]
    result = bench.fidelity.summary(runs)
    row = result["tables"]["magic"]["results"]["autoregressive"]
    assert row["figures"]["shape"] == {"median": 0.6, "min": 0.5, "max": 0.9, "n": 3}
    assert row["figures"]["dcr_share"]["median"] is None
    page = bench.fidelity.markdown(result)
    assert "0.60 (0.50..0.90)" in page
    assert "20.0 (10.0..30.0)" in page
    assert "3 seed(s)" in page
    assert "Failed: magic, seed 4, sdv: MemoryError" in page
    assert "Defaults; " in page


def test_numbers_that_are_none_reach_the_file_as_null(bench: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"cut')
    bench.fidelity.append(path, {"figures": {"c2st": math.nan, "shape": 1.5}})
    assert bench.fidelity.read_runs(path) == [{"figures": {"c2st": None, "shape": 1.5}}]


# -- anomalies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_corruption_swaps_one_cell_of_pairs_of_rows(bench: SimpleNamespace, seed: int) -> None:
    df = make_employees(400, seed).assign(constant=1)
    corrupted = bench.anomaly.corrupt(df, list(df.columns), 0.05, np.random.default_rng(seed))
    assert len(corrupted.rows) == len(corrupted.columns) == 20
    pd.testing.assert_series_equal(corrupted.df.dtypes, df.dtypes)
    changed = (corrupted.df != df) & ~(corrupted.df.isna() & df.isna())
    assert list(np.flatnonzero(changed.any(axis=1))) == list(corrupted.rows)
    assert (changed.iloc[corrupted.rows].sum(axis=1) == 1).all()
    assert tuple(changed.iloc[corrupted.rows].idxmax(axis=1)) == corrupted.columns
    for name in df.columns:
        kept = [table[name].value_counts(dropna=False).sort_index() for table in (df, corrupted.df)]
        pd.testing.assert_series_equal(*kept)


def test_a_table_of_constants_has_nothing_to_swap(bench: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="constant"):
        bench.anomaly.corrupt(pd.DataFrame({"a": [1, 1]}), ["a"], 0.5, np.random.default_rng(0))


def test_scores_are_judged_by_rows_and_by_cells(bench: SimpleNamespace) -> None:
    cells = pd.DataFrame({"a": [5.0, 5.0, 6.0, 5.0], "b": [0.1, 0.1, 3.0, 0.1]}, index=[7, 8, 9, 10])
    scores = cells.assign(score=cells.sum(axis=1))[["score", "a", "b"]]
    usual = cells.median()
    figures = bench.anomaly.judge(scores, usual, {9: "b"}, np.array([1.0, 0.0, 0.5, 0.0]))
    assert figures["auc_score"] == figures["auc_highest"] == figures["auc_highest_excess"] == 1
    assert figures["auc_forest"] == pytest.approx(2 / 3)
    # Column a is always harder to foretell; over its own usual level, b is the odd one.
    assert (figures["first"], figures["first_excess"], figures["chance"]) == (0, 1, 0.5)


def test_the_forest_takes_numbers_categories_dates_and_gaps(bench: SimpleNamespace, data: Path) -> None:
    parts = bench.tables.load(data, "employees", 1, n_rows=300)
    odd = parts.test.head(3).assign(current_annual_salary=9e6, department="never seen", gender=None)
    usual, of_odd = bench.anomaly.forest_scores(parts.train, [parts.test, odd], parts.metadata, seed=0)
    assert usual.shape == (30,)
    assert of_odd.min() > np.median(usual)


def test_anomalies_are_measured_on_rows_learnt_and_fresh(
    bench: SimpleNamespace, data: Path, tmp_path: Path, capsys
) -> None:
    arguments = ["--data", str(data), "--table", "magic", "--epochs", "1", "--rows", "200", "--share", "0.1"]
    assert bench.anomaly.main([*arguments, "--score-rows", "60", "--output", str(tmp_path)]) == 0
    page = capsys.readouterr().out
    assert "learnt: 18 of 180 rows corrupted; fresh: 2 of 20 rows corrupted" in page
    assert page.strip() == (tmp_path / "anomaly_magic.md").read_text().strip()
    (run,) = json.loads((tmp_path / "anomaly_magic.json").read_text())
    for part in ("learnt", "fresh"):
        assert all(0 <= run["figures"][part][key] <= 1 for key, _ in bench.anomaly.FIGURES)


@pytest.mark.slow
def test_wrong_cells_are_found_where_columns_hang_together(bench: SimpleNamespace, data: Path) -> None:
    run = bench.anomaly.measure(data, "employees", 1, share=0.05, epochs=40)
    for part in ("learnt", "fresh"):
        figures = run["figures"][part]
        assert figures["auc_score"] > max(0.6, figures["auc_forest"])
        assert figures["first_excess"] > 2 * figures["chance"]


def test_every_phase_has_its_time_in_both_precisions(bench, tmp_path):
    df, metadata = bench.speed.wide(200, 6)
    write_table(df, tmp_path / "wide.csv")
    found = bench.speed.profile(tmp_path / "wide.csv", metadata, n_steps=2, n_rows=50)
    assert all(value >= 0 for value in found.values())
    for precision in bench.speed.PRECISIONS:
        assert found[f"a step, ms ({precision})"] > 0
        assert found[f"rows drawn a second ({precision})"] > 0
    assert found["report, s"] > found["relations, s"] > 0


def test_growth_is_the_slope_of_logarithms(bench, tmp_path):
    growth = bench.growth
    line = growth.Growth("square", (10, 100, 1000), (1.0, 1.0, 100.0))
    assert line.exponent() == pytest.approx(1.0)
    assert line.exponent(2) == pytest.approx(2.0)
    acts = {"an epoch": lambda made, _: made.epoch(), "drawing": lambda made, n: made.draw(n)}
    found = growth.measured((3, 6), lambda n: growth.Learner(60, n), acts)
    assert [(one.what, one.sizes, min(one.seconds) > 0) for one in found] == [(what, (3, 6), True) for what in acts]
    growth.chart(found, "growth").save(tmp_path / "growth.svg")
    assert "drawing: exponent" in (tmp_path / "growth.svg").read_text()


# -- peers ------------------------------------------------------------------------------------------------------------


def test_ours_gets_as_long_as_the_peer_took_and_all_are_held_against_rows_that_nobody_learnt(
    bench: SimpleNamespace, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def learnt_again(
        python: str, df: pd.DataFrame, seed: int, minutes: float, n: int
    ) -> tuple[pd.DataFrame, float, float]:
        asked.append((python, len(df), minutes))
        return df.sample(n, replace=True, random_state=seed).astype({"f0": str}), 90.0, 1.0

    def ours(df: pd.DataFrame, metadata: object, seed: int, settings: dict[str, object]) -> tuple[object, float]:
        asked.append(settings)
        return lambda n: df.sample(n, replace=True, random_state=seed), 7.0

    monkeypatch.setattr(bench.peers, "mostly", learnt_again)
    monkeypatch.setattr(bench.peers, "ours", ours)
    bench.peers.main(["--data", str(data), "--tables", "magic", "--mostly", "their-python"])
    assert asked == [("their-python", 1800, 14_400), {"max_minutes": 1.5, "privacy": "none"}, {}]
    head, _, *lines = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines())
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert [row["engine"] for row in rows] == list(bench.peers.ENGINES)
    assert [row["fit, s"] for row in rows] == ["0", "90", "7", "7"]
    for row in rows:  # all of them are learnt rows, so none can be told from the rows that nobody learnt
        assert float(row["Shape, %"]) < 15
        assert 0.35 < float(row["C2ST AUC"]) < 0.65
