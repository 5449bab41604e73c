"""Disclosure: what a page, a plot, a card and JSON tell of few people is decided in one place, alike for all."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from clover_tvae import TVAESynthesizer
from clover_tvae.cli.app import app
from clover_tvae.errors import ConfigError
from clover_tvae.evaluation import fidelity
from clover_tvae.evaluation.disclosure import Disclosure, card_to_show
from clover_tvae.evaluation.frames import code_tables
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.report import build_report, plot_marginals


def ward(n_rare: int, n_missing: int = 0) -> pd.DataFrame:
    """60 rows, few of them in a rare ward, few without a weight."""
    frame = pd.DataFrame({"ward": ["rare"] * n_rare + ["common"] * (60 - n_rare), "weight": np.arange(60.0)})
    frame.loc[: n_missing - 1, "weight"] = np.nan
    return frame


def test_a_plot_tells_no_more_of_a_suppressed_category_than_the_page():
    real, synthetic = ward(3), ward(0)
    page = build_report(real, synthetic, figures=(), min_count=10).to_json()
    (error,) = [column["shape_error"] for column in json.loads(page)["columns"] if column["name"] == "ward"]
    assert error == pytest.approx(5 / 60)  # 3 of 60, rounded to a multiple of 5
    plot = plot_marginals(real, synthetic, min_count=10)
    assert "ward: error 8.3%" in plot._repr_svg_()
    assert "5.0%" not in plot._repr_svg_()


@pytest.mark.long
def test_the_page_withholds_missing_shares_of_few_people_as_the_figures_do():
    real, holdout = ward(0, 4), ward(0, 3)
    page = build_report(real, ward(0, 12), holdout, figures=(), min_count=10).html()
    assert not re.search(r"\b5\.0%", page)  # 3 of 60; 25.0% of the rows may be in a bar
    assert "under 10 rows" in page
    rates = fidelity(real, ward(0, 12), holdout, min_count=10).tables["missing_rates"].set_index("column").loc["weight"]
    assert rates[["real", "holdout"]].isna().all()
    assert rates["synthetic"] == 20


def test_inspect_prints_no_category_of_an_order(tmp_path: Path):
    order = ["canary-low", "canary-high"]
    df = pd.DataFrame({"x": np.arange(40.0), "risk": order * 20})
    metadata = {"continuous": ["x"], "ordinal": [{"name": "risk", "order": order}]}
    file = tmp_path / "g.pkl"
    TVAESynthesizer(df, metadata, random_state=1, epochs=1, verbose=False).fit().save(file)
    for arguments in (("--json",), (), ("--card", str(tmp_path / "card.md"))):
        result = CliRunner().invoke(app, ["inspect", str(file), *arguments])
        assert result.exit_code == 0
        assert "canary" not in result.stdout
    assert "canary" not in (tmp_path / "card.json").read_text() + (tmp_path / "card.md").read_text()
    shown = json.loads(CliRunner().invoke(app, ["inspect", str(file), "--json"]).stdout)
    assert shown["metadata"]["ordinal"] == [{"name": "risk", "order": 2}]


def test_orders_are_counted_wherever_a_metadata_holds_them():
    card = {"metadata": {"ordinal": {"risk": {"order": ["a", "b"]}}, "continuous": ["x"]}, "rows": 3}
    assert card_to_show(card) == {"metadata": {"ordinal": {"risk": {"order": 2}}, "continuous": ["x"]}, "rows": 3}
    assert card_to_show(card_to_show(card)) == card_to_show(card)
    assert card_to_show({"rows": 3}) == {"rows": 3}


def test_shares_are_withheld_where_few_are_in_the_cell_or_out_of_it():
    assert Disclosure() == Disclosure(MIN_COUNT)
    for k in (1, 2, 5, 10, 25):
        rule = Disclosure(k)
        for count in range(101):
            share = rule.share(count, 100)
            if 0 < count < k or 0 < 100 - count < k:
                assert np.isnan(share)
            else:
                assert abs(share * 100 - count) <= k / 4 + 0.5
                assert (share > 0) == (count > 0)
    assert Disclosure(1).share(3, 7) == pytest.approx(3 / 7)


def test_no_bin_is_left_with_few_rows():
    rng = np.random.default_rng(0)
    for _ in range(50):
        counts = rng.poisson(6, 12)
        keep = Disclosure(10).merged_bins(counts)
        assert (keep[0], keep[-1]) == (0, len(counts))
        merged = np.add.reduceat(counts, keep[:-1])
        assert merged.min() >= min(10, counts.sum())


def test_errors_are_exact_unless_some_cell_is_small():
    errors = np.array([0.0123, 0.0877])
    large = code_tables({"real": ward(20, 20), "synthetic": ward(0)})
    assert Disclosure().errors(errors, large, "synthetic").tolist() == errors.tolist()
    small = code_tables({"real": ward(20, 20), "holdout": ward(3), "synthetic": ward(0)})
    assert Disclosure().errors(errors, small, "synthetic").tolist() == errors.tolist()
    assert Disclosure(10).errors(errors, small, "holdout") * 60 == pytest.approx([0, 5])


@pytest.mark.parametrize("min_count", [0, -1, 2.5, True, "10", None])
def test_the_least_count_is_a_whole_number(min_count):
    with pytest.raises(ConfigError) as caught:
        Disclosure(min_count)
    assert caught.value.problems[0].where == "min_count"


def shown_shares(html: str, column: str) -> list[float]:
    """The real shares that the bars of one column tell, in percent."""
    titles = re.findall(r'(?:<title>|title=")([^<"]+)', html)
    start = next(place for place, title in enumerate(titles) if title.startswith(f"{column}: "))
    found = [re.search(r": real ([\d.]+)%", title) for title in titles[start + 1 :]]
    return [float(match[1]) for match in itertools.takewhile(lambda match: match is not None, found)]


@pytest.mark.parametrize(("column", "missing"), [("age", "age: share"), ("sex", "sex: share")])
def test_the_shares_of_bars_do_not_tell_how_many_cells_are_missing(column, missing):
    """Counts in steps of five over the exact count of present rows would give it away: 25 of 77 is not 25 of 80."""
    rng = np.random.default_rng(1)
    full = pd.DataFrame({"age": rng.integers(20, 26, 80).astype(float), "sex": rng.choice(["F", "M"], 80)})
    told = set()
    for n_missing in range(1, 10):
        real = full.copy()
        real[column] = real[column].mask(np.arange(80) < n_missing)
        shares = shown_shares(build_report(real, full, figures=(), min_count=10).html(), column)
        assert shares
        told.update(round(share / 100 * 80, 1) % 5 for share in shares)
    assert told <= {0.0}


@pytest.mark.long
@pytest.mark.parametrize("column", ["age", "sex"])
def test_what_is_told_of_missing_rates_and_pairs_does_not_count_few_people(column):
    """Bootstrapped rows are real rows, and an exact Cramér's V can be solved for the one count that gives it."""
    rng = np.random.default_rng(1)
    full = pd.DataFrame({"age": rng.integers(20, 26, 80).astype(float), "sex": rng.choice(["F", "M"], 80)})
    gaps = set()
    for n_missing in range(1, 10, 2):
        real = full.copy()
        real[column] = real[column].mask(np.arange(80) < n_missing)
        figures = fidelity(real, full, min_count=10)
        gaps.add(figures["fidelity.missing_rate"].bootstrap)
        shown = build_report(real, full, figures=figures, min_count=10).content["pairs"]["rows"]
        (strength,) = figures.tables["pair_trends"]["real"]
        assert strength * 80 / 5 == pytest.approx(round(strength * 80 / 5))
        assert [row[4] for row in shown] == [f"{strength:#.2g}"]
    assert gaps <= {0.0, 100 * 5 / 80}
