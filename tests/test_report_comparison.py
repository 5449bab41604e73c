"""The comparison page, the model card, and the readings of single figures."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from conftest import refuses
from test_report import Elements, words

from clover_tvae.errors import ConfigError
from clover_tvae.evaluation import CATALOGUE, Figure, Figures
from clover_tvae.report import build_comparison, card_json, card_markdown, write_comparison
from clover_tvae.report.comparison_page import comparison_rows
from clover_tvae.report.model_card import card_groups
from clover_tvae.report.readings import readings


def figures(shape: float, auc: float) -> Figures:
    return Figures.of(
        [
            Figure.of("fidelity.shape", shape, holdout=0.5, n=100),
            Figure.of("fidelity.c2st", auc, holdout=0.5, n=100, interval=(auc - 0.01, auc + 0.01)),
            Figure.of("utility.trees_auc", 1 - auc / 4, perfect=0.95, n=50),
            Figure.of("privacy.dcr_share", 0.5, holdout=0.5, n=100),
        ]
    )


@pytest.fixture
def results() -> list[dict]:
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.5], "validation_loss": [3.1, 2.2, 2.1]})
    return [
        {"name": "autoregressive", "figures": figures(0.6, 0.52), "fit_seconds": 81.25, "history": history},
        {
            "name": "independent",
            "figures": figures(5.0, 0.9),
            "sigmas": {"age": [0.05], "pay": [0.1, 0.2, 0.3]},
            "sampled_rows": 1000,
            "sample_seconds": 0.5,
            "file_bytes": 2_500_000,
            "history": history.to_dict("records"),
        },
        {"name": "sdv", "figures": figures(9.0, 0.96).to_plain(), "sigmas": {"age": np.array([0.02]), "zero": [0.0]}},
        {"name": "broken <b>", "error": "training <script> failed"},
    ]


def test_every_generator_has_its_column_and_the_best_is_marked(results) -> None:
    page = build_comparison(results, facts={"Seed": 3, "Table": "<i>", "Share": 0.125, "Target": None})
    elements = Elements(page)
    assert not elements.faults
    text = words(page)
    for expected in (
        "autoregressive",
        "independent",
        "sdv",
        "broken <b>",
        "training <script> failed",
        "● 0.600%",
        "81.2",
        "2.50",
        "2,000",
    ):
        assert expected in text
    assert "no proof of anonymity" in text
    assert "<b>b" not in page


def test_each_generator_answers_the_three_questions(results) -> None:
    page = build_comparison(results)
    for question in ("Is it like the real table?", "Is it useful?", "Whom could it expose?"):
        assert page.count(f'class="name">{question}</th>') == 1
    assert page.count('class="mark ') == 3 * len(results)
    assert "Is it useful?" not in build_comparison([{"name": "none", "error": "gave no rows"}])


def test_the_page_says_who_learnt_the_table_itself(results) -> None:
    assert "What did it learn?" not in build_comparison(results)
    results[0]["has_student"], results[1]["has_student"] = True, False
    text = words(build_comparison(results))
    assert (
        "What did it learn? A student of written rows The table itself: the file is as sensitive as the data – –"
        in text
    )


def test_the_best_is_by_direction_and_ties_have_none() -> None:
    rows = {
        row["key"]: row
        for section in ("fidelity", "utility", "privacy")
        for row in comparison_rows({"a": figures(0.6, 0.9), "b": figures(5.0, 0.52)}, section)
    }
    best = {key: [cell["best"] for cell in row["cells"]] for key, row in rows.items()}
    assert best["fidelity.shape"] == [True, False]
    assert best["fidelity.c2st"] == [False, True]
    assert best["utility.trees_auc"] == [False, True]
    assert best["privacy.dcr_share"] == [False, False]


def test_sigmas_stand_side_by_side(results) -> None:
    text = words(build_comparison(results))
    assert "0.200 (0.100 to 0.300, 3 scalars)" in text
    assert "Learned sigma of each continuous column" in build_comparison(results)
    assert "None of the generators has learned sigmas." in words(build_comparison(results[:1]))


def test_results_without_names_or_twice_are_refused() -> None:
    with refuses(ConfigError, "results"):
        build_comparison([])
    with refuses(ConfigError, "results"):
        build_comparison([{"name": "a"}, {"name": "a"}])
    with refuses(ConfigError, "results[0].name"):
        build_comparison([{"fit_seconds": 3}])


def test_the_page_is_written_whole(results, tmp_path) -> None:
    path = tmp_path / "compare.html"
    write_comparison(path, results)
    assert path.read_text(encoding="utf-8") == build_comparison(results)


# ---------------------------------------------------------------- readings


def reading_of(name: str, value: float | None, **more: object) -> str:
    return readings([Figure.of(name, value, n=10, **more)])[0].verdict


def test_an_interval_decides_where_there_is_one() -> None:
    assert reading_of("privacy.membership_auc", 0.56, interval=(0.52, 0.6)) == "worse"
    assert reading_of("privacy.membership_auc", 0.56, interval=(0.49, 0.63)) == "equal"
    assert reading_of("fidelity.c2st_heldout", 0.51, holdout=0.505, interval=(0.49, 0.53)) == "equal"
    assert reading_of("fidelity.c2st_heldout", 0.6, holdout=0.505, interval=(0.57, 0.63)) == "worse"
    assert reading_of("fidelity.c2st_heldout", 0.5, holdout=0.45, interval=(0.47, 0.53)) == "equal"  # as a coin is


def test_copying_is_never_read_as_quality() -> None:
    assert reading_of("fidelity.c2st", 0.2, holdout=0.5, bootstrap=0.3) == "odd"
    assert reading_of("fidelity.shape", 0.0, holdout=0.9, bootstrap=0.5) == "odd"
    assert (
        reading_of("fidelity.shape", 9.0, holdout=0.9, bootstrap=0.5) == "equal"
    )  # far from the learnt rows: not close
    assert reading_of("privacy.dcr_share", 1.0, holdout=0.5, interval=(0.99, 1.0)) == "worse"
    assert reading_of("privacy.copies", 100.0, holdout=0.1) == "worse"


def test_both_sides_of_a_target_are_bad() -> None:
    assert reading_of("fidelity.rare_frequency", 0.4, holdout=1.1) == "worse"
    assert reading_of("fidelity.rare_frequency", 1.6, holdout=1.1) == "worse"
    assert reading_of("fidelity.rare_frequency", 0.92, holdout=1.1) == "equal"


def test_what_was_not_measured_is_not_judged() -> None:
    assert reading_of("privacy.dcr_share", None) == "unknown"
    assert readings([Figure.of("privacy.dcr_share", None)])[0].reading == "not measured"
    assert reading_of("fidelity.duplicates", 1.0) == "unknown"


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_figure_of_the_catalogue_can_be_read(name: str) -> None:
    for value in (0.0, 0.5, 3.0, None):
        reading = readings([Figure.of(name, value, holdout=0.4, bootstrap=0.3, n=10)])[0]
        assert reading.sentence
        assert reading.label == CATALOGUE[name].title


# ---------------------------------------------------------------- card


CARD = {
    "package": "clover_tvae",
    "rows": 32561,
    "random_state": None,
    "sha256": "f" * 64,
    "metadata": {
        "continuous": ["age"],
        "ordinal": [{"name": "risk", "order": ["canary-low", "canary-high"]}],
        "variable_to_predict": "risk",
    },
    "parameters": {"compress_dims": (128, 128), "patience": None, "learning_rate": 0.002},
    "training": {"last": {"epoch": 3, "loss": float("nan")}, "stopped": True},
    "odd | name": "*bold* <script> [x](y)",
    "privacy": None,
}


def test_the_card_counts_and_never_quotes_categories() -> None:
    text = json.dumps(card_groups(CARD)) + card_markdown(CARD)
    assert "32,561" in text
    assert "128, 128" in text
    assert "canary" not in text


def test_markdown_cannot_be_broken_by_names() -> None:
    text = card_markdown(CARD, figures(1.0, 0.6))
    assert r"odd \| name" in text
    assert r"\*bold\* \<script\>" in text
    assert "| Shape error against the learnt rows | 1.00% | – | 0.500% |" in text
    assert "no proof of anonymity" in text
    assert "were not evaluated" in card_markdown({})


def test_the_card_as_json_is_strict_json() -> None:
    content = json.loads(card_json(CARD, figures(1.0, 0.6)), parse_constant=lambda name: pytest.fail(name))
    assert content["card"]["training"]["last"]["loss"] is None
    assert content["figures"]["figures"]["fidelity.shape"]["value"] == 1.0
    assert json.loads(card_json({}))["figures"] is None
    assert "canary" not in card_json(CARD)
