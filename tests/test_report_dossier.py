"""The dossier: what was tried, beside what guessing gives; a verdict for the rows and one for the file."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from conftest import refuses
from evaluation_tables import hospital

from clover_tvae import TVAESynthesizer
from clover_tvae.errors import ConfigError, PrivacyWarning
from clover_tvae.evaluation import Figure, Figures, measure
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import CHECKED, Privacy
from clover_tvae.report import build_dossier
from clover_tvae.report.dossier import check_about
from clover_tvae.workflows.assessment import dossier_of
from clover_tvae.workflows.attackers import attackers

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("few_rounds")]

META = {
    "continuous": ["age", "weight"],
    "categorical": ["city", "ward", "sick"],
    "variable_to_predict": "sick",
}
CANARY = "Zyxomma-canary"


def rows(n: int, seed: int) -> pd.DataFrame:
    return hospital(n, seed)[["age", "weight", "city", "ward", "sick"]]


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    real = rows(200, 0)
    real.loc[:2, "ward"] = CANARY
    return {"real": real, "synthetic": rows(200, 2), "holdout": rows(200, 1)}


@pytest.fixture(scope="module")
def dossier(tables):
    card = {"parameters": {"min_count": 5}, "privacy": {"mode": "none"}}
    about = {"purpose": "<b>teaching</b>", "subgroups": "ward"}
    return build_dossier(**tables, metadata=META, about=about, card=card, draws=[rows(200, 3)], refits=[rows(200, 5)])


def section(dossier, title: str) -> dict[str, list[str]]:
    (found,) = [part for part in dossier.content["sections"] if part["title"].startswith(title)]
    return {row[0]: row[1:] for row in found["rows"]}


def test_people_fill_in_some_fields_and_the_page_says_which_are_open(dossier) -> None:
    fields = section(dossier, "Who")
    assert fields["What the rows are for"] == ["<b>teaching</b>"]
    assert fields["Controller"] == ["(to be filled in)"]
    assert "<b>teaching" not in dossier.html()


def test_rows_and_file_have_verdicts_of_their_own(dossier) -> None:
    verdicts = section(dossier, "Verdicts")
    assert "No leak found" in verdicts["The rows"][0]
    assert "as sensitive as the data" in verdicts["The file"][0]
    few = rows(100, 0)
    unguarded = {"privacy": {"mode": "student"}, "parameters": {"min_count": 1, "exact_values": True}}
    told = section(build_dossier(few, few, rows(100, 1), META, card=unguarded), "Verdicts")["The file"][0]
    assert told.endswith("Values of single people may stand in the file, as min_count=1 and exact_values=True asked.")
    copied = build_dossier(few, few, rows(100, 1), META)
    assert "LEAK FOUND: Exact copies" in section(copied, "Verdicts")["The rows"][0]
    assert "must not leave" in section(copied, "Verdicts")["The file"][0]


def test_a_holdout_that_stands_in_the_rows_judges_nothing(tables) -> None:
    exchanged = {**tables, "real": tables["holdout"], "holdout": tables["real"]}
    drawn = pd.concat([tables["real"], tables["synthetic"]])
    told = build_dossier(**exchanged | {"synthetic": drawn}, metadata=META, draws=[drawn])
    verdict = section(told, "Verdicts")["The rows"][0]
    assert verdict.startswith("Not judged: 200 of the 400 synthetic rows stand word for word in the holdout: either")
    assert "no leak" not in verdict.lower()
    assert "Subgroups" not in [part["title"].split()[0] for part in told.content["sections"]]


@pytest.mark.parametrize(("membership", "calms"), [("not told", True), ("told", False)])
@pytest.mark.parametrize("leak", ["privacy.file_auc", "privacy.membership_auc", ""])
def test_a_quick_check_that_found_nobody_does_not_stand_beside_a_leak(tables, membership, calms, leak) -> None:
    card = {"privacy": Privacy(mode="student", written_rows=900, membership=membership).told({})}
    keys = ("privacy.file_auc", "privacy.membership_auc")
    figures = Figures.of([Figure.of(key, 0.9, p=1e-6 if key == leak else 0.5) for key in keys])
    told = build_dossier(**tables, metadata=META, figures=figures, card=card).to_json().lower()
    assert ("leak found:" in told) == bool(leak)
    assert told.count(CHECKED[membership]) == (0 if leak and calms else 2)  # in the verdict, and among the guards


def test_membership_stands_beside_guessing_and_people_of_whom_none_was_learnt(dossier) -> None:
    membership = section(dossier, "Membership")
    assert membership["guess the share of members"][0] == "0.500"
    assert 0.3 < float(membership["held-out people as if learnt"][0]) < 0.7
    assert {"rows, random: trees", "rows, random: marginals", "rows, outliers: chosen"} <= set(membership)


def test_figures_are_told_of_several_tables_with_the_worst(dossier) -> None:
    mean, spread, worst, n = section(dossier, "Table after table")["Membership inference, AUC"]
    assert n == "2"
    assert float(worst) >= float(mean)
    assert float(spread) > 0
    assert section(dossier, "Training after training")["Membership inference, AUC"][3] == "2"


def test_the_verdict_names_further_tables_that_leak_corrected_for_their_number(tables, dossier) -> None:
    verdict = section(dossier, "Verdicts")["The rows"][0]
    assert "Table after table: no leak found in 2 tables." in verdict
    copied = build_dossier(**tables, metadata=META, draws=[tables["real"]])
    verdict = section(copied, "Verdicts")["The rows"][0]
    assert verdict.startswith(
        "Table after table: LEAK FOUND in 1 of 2 tables: Exact copies of training rows, Copies of rare"
    )
    assert "No leak found by" in verdict  # of the rows that leave
    # One test that chance passes in three of a hundred: by itself a leak, among the tests of five tables none.
    odd = [Figures.of([Figure.of("privacy.copied_rare", 3, p=p)]) for p in (0.03, 0.5, 0.5, 0.5)]
    by_chance = build_dossier(**tables, metadata=META, draws=odd)
    verdict = section(by_chance, "Verdicts")["The rows"][0]
    assert "1 of 5 tables, each read by itself, would show a leak (Copies of rare training rows); corrected" in verdict
    (told,) = [part["words"] for part in by_chance.content["sections"] if part["title"] == "Table after table"]
    assert "found in 1 of 5 (where there is none, in one of 20); corrected for the number of tables" in told
    assert told.endswith("in 0.")


def test_what_is_not_measured_stands_in_no_table(tables) -> None:
    few = build_dossier(tables["real"], tables["synthetic"], tables["holdout"][:100], META)
    assert few.figures["privacy.membership_tpr1"].value is None
    assert few.figures["privacy.membership_tpr10_outliers"].value is None
    membership = section(few, "Membership")
    assert {row[2] for name, row in membership.items() if name != "guess the share of members"} == {"–"}
    assert {row[3] for name, row in membership.items() if name.startswith("rows, outliers")} == {"–"}
    assert membership["rows, random: trees"][3].endswith("%")


def test_the_numbers_of_people_and_rows_are_told(dossier) -> None:
    measured = section(dossier, "What was measured")
    assert measured["learnt"] == measured["held out"] == ["200 rows, each a person"]
    assert measured["synthetic rows attacked"] == ["200"]
    assert "not known" in measured["which rows these are"][0]


def test_tables_of_generators_trained_anew_have_as_many_rows_as_the_one_that_leaves(monkeypatch) -> None:
    train, holdout = rows(120, 0), rows(120, 1)
    options = {"epochs": 1, "min_count": 1, "privacy": "none", "decode": "argmax", "verbose": False}
    with pytest.warns(PrivacyWarning):  # the generators that are trained anew leave no file, and warn of none
        synth = TVAESynthesizer(train, META, random_state=0, **options).fit()
    sizes: list[int] = []

    def noted(real: pd.DataFrame, drawn: pd.DataFrame, *args, **how) -> Figures:
        sizes.append(len(drawn))
        return measure(real, drawn, *args, **how)

    monkeypatch.setattr("clover_tvae.report.dossier.measure", noted)
    dossier_of(synth, train, synth.sample(300), holdout, Metadata.of(META), full=True)
    assert sizes == [300, 300, 300]


def test_groups_of_few_people_are_not_told_nor_any_value_of_theirs(dossier) -> None:
    assert set(section(dossier, "Subgroups of ward")) == {"day", "ICU", "surgery"}
    for text in (dossier.html(), dossier.to_json()):
        assert CANARY not in text


def test_the_page_warns_of_being_asked_again_and_is_inert(dossier, tmp_path) -> None:
    assert "2312.05114" in dossier.html()
    assert dossier.html().count("<script>") == 1  # the page's own, under its policy
    dossier.save(tmp_path / "d.html")
    content = json.loads((tmp_path / "d.json").read_text())
    assert content["sections"] == json.loads(json.dumps(dossier.content["sections"]))
    assert content["figures"]["figures"]["privacy.membership_auc"]["p"] > 0


def test_fields_that_no_dossier_has_are_refused(tables) -> None:
    with pytest.raises(ConfigError) as caught:
        check_about({"purpos": "x", "controller": 3})
    assert len(caught.value.problems) == 2
    assert "'purpose'" in str(caught.value)
    with refuses(ConfigError, "subgroups"):
        build_dossier(**tables, metadata=META, about={"subgroups": "age"})


def test_who_holds_the_file_asks_it_and_who_holds_the_rows_learns_them(monkeypatch) -> None:
    monkeypatch.setattr("clover_tvae.workflows.attackers._QUICK_STEPS", 60)
    train, holdout = rows(120, 0), rows(120, 1)
    with pytest.warns(PrivacyWarning):
        synth = TVAESynthesizer(train, META, random_state=0, epochs=2, min_count=1, privacy="none", verbose=False).fit()
    scorers = attackers(train.copy(), Metadata.of(META), synth, seed=1)
    figures = measure(train, train.copy(), holdout, META, scorers=scorers)
    assert 0 <= figures["privacy.file_auc"].value <= 1
    assert {"learn_the_rows"} < set(figures.tables["membership"]["attack"])
    learnt = scorers["membership"]["learn_the_rows"](pd.concat([train, holdout]), rows(120, 5))
    assert np.median(learnt[:120]) > np.median(learnt[120:])  # the rows are the members themselves
