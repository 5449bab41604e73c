"""Figures as data: plain and back, shown safely, held against limits."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from conftest import refuses

from clover_tvae.errors import ConfigError
from clover_tvae.evaluation import CATALOGUE, Figure, Figures, check_limits
from clover_tvae.evaluation.catalogue import REMOVED


@pytest.fixture
def figures() -> Figures:
    table = pd.DataFrame({"column": ["<b>", 3], "error": [0.5, np.nan], "rows": np.array([1, 2])})
    return Figures.of(
        [
            Figure.of("fidelity.shape", 2.5, holdout=1.0, bootstrap=np.nan, n=10, seed=3, interval=(2.0, 3.0)),
            Figure.of("privacy.membership_auc", np.nan, note="Not measured: <script>"),
        ],
        {"column_shapes": table},
        ["a note"],
    ) | Figures(weak_holdout="it is 60 people")


def test_a_figure_takes_its_meaning_from_the_catalogue(figures):
    shape = figures["fidelity.shape"]
    assert (shape.unit, shape.better, shape.perfect, shape.bootstrap) == ("%", "lower", None, None)
    assert figures["privacy.membership_auc"].value is None
    assert figures["privacy.membership_auc"].perfect == 0.5
    with pytest.raises(FrozenInstanceError):
        shape.value = 0.0


def test_plain_data_survives_json(figures):
    plain = json.loads(json.dumps(figures.to_plain()))
    back = Figures.from_plain(plain)
    assert back == figures
    assert back.to_plain() == figures.to_plain()
    assert back.notes == ("a note",)
    assert back.weak_holdout == "it is 60 people"
    del plain["weak_holdout"]  # as it was written before
    assert Figures.from_plain(plain).weak_holdout == ""
    assert back.tables["column_shapes"]["error"].isna().tolist() == [False, True]


@pytest.mark.parametrize("plain", [None, {}, {"format": "other"}, {"format": "clover-tvae-figures"}])
def test_other_data_is_refused(plain):
    with refuses(ConfigError, "figures"):
        Figures.from_plain(plain)


def test_damaged_data_is_refused(figures):
    plain = figures.to_plain()
    plain["figures"]["fidelity.shape"]["surprise"] = 1
    with refuses(ConfigError, "figures"):
        Figures.from_plain(plain)


def test_the_frame_and_the_page_show_every_figure_and_run_no_script(figures):
    frame = figures.to_frame()
    assert list(frame.index) == ["fidelity.shape", "privacy.membership_auc"]
    assert frame.loc["fidelity.shape", "holdout"] == 1.0
    page = figures._repr_html_()
    assert "Shape error" in page
    assert "<script>" not in page


def test_sections_and_unions(figures):
    assert list(figures.section("privacy")) == ["privacy.membership_auc"]
    more = Figures.of([Figure.of("utility.loss", 0.1)], notes=["a note", "another"])
    assert list(figures | more) == ["fidelity.shape", "privacy.membership_auc", "utility.loss"]
    assert (figures | more).notes == ("a note", "another")


def test_limits_name_what_is_beyond_them(figures):
    assert check_limits(figures, {"fidelity.shape": {"max": 2.5, "min": 2.5}}) == []
    for bounds, text in (({"max": 2}, "above the limit 2"), ({"min": 3, "max": 4}, "below the limit 3")):
        breaches = check_limits(figures, {"fidelity.shape": bounds})
        assert [str(breach) for breach in breaches] == [f"fidelity.shape: 2.5 is {text}"]


def test_what_was_not_measured_passes_no_limit(figures):
    limits = {"privacy.membership_auc": {"max": 0.6}, "privacy.dcr_share": {"max": 0.6}}
    breaches = check_limits(figures, limits)
    assert [breach.key for breach in breaches] == list(limits)
    assert "not measured" in str(breaches[0])
    unmeasured = Figures.of([Figure.of("privacy.membership_auc", None, note="Not measured: the holdout is small.")])
    (breach,) = check_limits(unmeasured, {"privacy.membership_auc": {"max": 0.6}})
    assert str(breach) == "privacy.membership_auc: not measured (the holdout is small), but a limit (max 0.6) is set"


def test_all_faults_of_limits_are_told_at_once(figures):
    limits = {
        "fidelity.shpae": {"max": 1},
        "fidelity.shape": {"maxx": 1, "min": "two", "max": True},
        "fidelity.c2st": 0.6,
        "fidelity.duplicates": {"max": float("nan")},
    }
    with pytest.raises(ConfigError) as caught:
        check_limits(figures, limits)
    assert len(caught.value.problems) == 6
    assert "did you mean 'fidelity.shape'" in str(caught.value)
    with refuses(ConfigError, "limits"):
        check_limits(figures, [("fidelity.shape", 1)])


@pytest.mark.parametrize("key", REMOVED)
def test_a_limit_of_a_figure_that_is_gone_says_what_to_use(figures, key):
    with pytest.raises(ConfigError) as caught:
        check_limits(figures, {key: {"max": 1}, "fidelity.shape": {"max": 0}})
    (problem,) = caught.value.problems
    assert problem.where == f"limits.{key}"
    assert "removed" in problem.message
    assert key not in CATALOGUE
    named = [word for word in problem.message.replace(",", " ").split() if "." in word and not word[0].isdigit()]
    assert named
    assert set(named) <= set(CATALOGUE)


def test_no_figure_promises_safety():
    for key, meaning in CATALOGUE.items():
        assert key.count(".") == 1
        assert "anonymous" not in meaning.note
        if key.startswith("privacy."):
            assert "proof" in meaning.note or "proves" in meaning.note


def test_limits_that_nothing_can_meet_are_refused():
    with refuses(ConfigError, "limits.fidelity.shape"):
        check_limits({}, {"fidelity.shape": {"min": 5, "max": 1}})


def test_a_limit_of_an_unknown_figure_names_it_and_the_nearest():
    with pytest.raises(ConfigError) as caught:
        check_limits({}, {"privacy.membership_auk": {"max": 1}})
    (problem,) = caught.value.problems
    assert "'privacy.membership_auk'" in problem.message
    assert "'privacy.membership_auc'" in problem.message
