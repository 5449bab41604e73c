# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Patients: the whole way from a CSV to a file that may leave the hospital
#
# 442 people with diabetes (Efron, Hastie, Johnstone & Tibshirani 2004; the table comes with scikit-learn): age, sex, body mass
# index, blood pressure, six blood values, and how far the disease had progressed a year later. We learn the table, look at what
# was learnt, draw new patients (also "only those over 65"), fill missing cells, find odd rows, and write the sheet that goes
# with the synthetic file.
#
# Open it as a notebook (`jupytext --to ipynb examples/patients.py`) or run it: `python examples/patients.py` (a few minutes).

# %%
from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.report import card_markdown
from clover_tvae.tables import read_table, write_table

parser = argparse.ArgumentParser(description="From a CSV of patients to a release.", allow_abbrev=False)
parser.add_argument("--output", default="examples/output", help="folder of everything that is written")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--short", action="store_true", help="a few seconds, for the tests")
options, _ = parser.parse_known_args()
hospital = Path(options.output) / "patients_hospital"  # stays inside
release = Path(options.output) / "patients_release"  # may leave
for folder in (hospital, release):
    folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(options.seed)

# %% [markdown]
# ## 0. A CSV as hospitals have it
# With a patient number, and with gaps: we remove every twelfth blood pressure and body mass index at random (and keep the
# truth aside, to see later how well the gaps are filled).

# %%
names = [
    "age",
    "sex",
    "bmi",
    "blood_pressure",
    "cholesterol",
    "ldl",
    "hdl",
    "tch_ratio",
    "log_triglycerides",
    "glucose",
]
bunch = load_diabetes(scaled=False)
complete = pd.DataFrame(bunch.data, columns=names).assign(progression=bunch.target)
complete = complete.astype({"age": int, "cholesterol": int, "hdl": int, "glucose": int, "progression": int})
complete["sex"] = np.where(complete["sex"] == 1, "1", "2")  # the source does not say which is which
complete.insert(0, "patient_id", [f"P-{number:05d}" for number in range(1, len(complete) + 1)])
patients = complete.copy()
for name in ("bmi", "blood_pressure"):
    patients.loc[rng.random(len(patients)) < 1 / 12, name] = np.nan
write_table(patients, hospital / "patients.csv")

# %% [markdown]
# ## 1. Metadata: what is each column?
# `Metadata.infer` guesses, and *says* what it guessed. Read it: the one thing that nobody can do for you is to know that `sex`
# is a category although it is written as a number, and that `patient_id` is nobody's property to learn.

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    guessed = Metadata.infer(read_table(hospital / "patients.csv"))
for warning in caught:
    print("warning:", warning.message)
print({column.name: column.kind for column in guessed.columns})

metadata = Metadata.of(
    {
        "continuous": [name for name in names if name != "sex"] + ["progression"],
        "categorical": ["sex"],
        "id": [{"name": "patient_id", "regenerate": "pattern", "pattern": "P-#####"}],  # never learnt, numbered anew
        "variable_to_predict": "progression",
    }
)
table = read_table(hospital / "patients.csv", metadata)
table.head()

# %% [markdown]
# ## 2. Hold some patients back
# A fifth of the patients is never shown to the generator. Without them nobody can tell *learnt* from *learnt by heart*: every
# figure below stands beside the same figure for real people whom the generator has not seen.

# %%
train, holdout = train_test_split(table, test_size=0.2, random_state=options.seed)
train, holdout = train.reset_index(drop=True), holdout.reset_index(drop=True)
synth = TVAESynthesizer(
    train, metadata, random_state=options.seed, epochs=3 if options.short else None, verbose=False
).fit()
print(repr(synth))
synth.history.tail(3)

# %% [markdown]
# ## 3. Curves
# The loss is the negative ELBO: how many nats a row of the table costs. The lower the better, and its absolute height means
# nothing (it depends on units and columns). What counts is the **validation** curve, of rows that the network does not learn
# from: where it stops falling, training stops, and the best epoch's weights are kept.

# %%
curves = synth.plot_history()
curves.save(hospital / "history.svg")
curves

# %% [markdown]
# ## 4. New patients
# As many as were learnt. Same columns, dtypes, decimals, ranges, and the same share of missing cells.

# %%
synthetic = synth.sample(len(train), random_state=options.seed)
print(pd.DataFrame({"real": train.isna().mean(), "synthetic": synthetic.isna().mean()}).loc[["bmi", "blood_pressure"]])
marginals = synth.plot_marginals(train, synthetic)
marginals.save(hospital / "marginals.svg")
pairs = synth.plot_pairs(train, synthetic)
pairs.save(hospital / "pairs.svg")
synthetic.head()

# %% [markdown]
# ## 5. Patients over 65
# Conditions are exact: ranges, sets of categories, "missing", "not missing". No row is drawn and thrown away, so that a rare condition costs
# no more than a common one.

# %%
old = synth.sample(200, conditions={"age": (">=", 65)}, random_state=options.seed)
real_old = table[table["age"] >= 65]
print(f"{len(real_old)} real patients are 65 or older; {len(old)} synthetic ones, youngest {old['age'].min()}")
print(
    pd.DataFrame({"real, all": table.mean(numeric_only=True), "real, 65+": real_old.mean(numeric_only=True),
                  "synthetic, 65+": old.mean(numeric_only=True)}).round(1).to_string()
)  # fmt: skip
thin = synth.sample(
    3, conditions={"sex": "2", "bmi": ("between", 18, 22), "glucose": ("<", 90)}, random_state=options.seed
)
thin

# %% [markdown]
# ## 6. Fill the gaps
# `impute` draws the missing cells *given the rest of the row*, 19 times: from the spread of the draws you see how sure it is
# (multiple imputation, Rubin 1987). Truth and draws are 20 numbers of one kind, so the truth is neither the lowest nor the
# highest of them in 18 of 20 cells, 90%. We know the truth here, and compare with the usual cure, the mean of the column.

# %%
imputed = synth.impute(table, n=3 if options.short else 19, random_state=options.seed)
errors: dict[str, dict[str, float]] = {}
for name in ("bmi", "blood_pressure"):
    gap = table[name].isna()
    truth = complete.loc[gap, name].to_numpy()
    draws = np.stack([one.loc[gap, name].to_numpy() for one in imputed])  # (tables, cells)
    inside = (draws.min(axis=0) <= truth) & (truth <= draws.max(axis=0))
    errors[name] = {
        "cells": int(gap.sum()),
        "error of the column's mean": float(np.sqrt(np.mean((table[name].mean() - truth) ** 2))),
        "error of the mean draw": float(np.sqrt(np.mean((draws.mean(axis=0) - truth) ** 2))),
        "truth between the draws": float(inside.mean()),
    }
print(pd.DataFrame(errors).round(2).to_string())

# %% [markdown]
# ## 7. Odd rows
# `anomaly_scores` gives every row, and every cell, its surprise in nats given the rest of the row. To see whether it works we mix
# up records: in half of the held-out rows, three columns come from another patient, as when sheets are swapped. Every single
# value is then plausible. Only the row is not.

# %%
mixed = holdout.copy()
swapped = np.arange(len(mixed)) % 2 == 0
exchanged = ["ldl", "hdl", "bmi"]
mixed.loc[swapped, exchanged] = mixed.loc[swapped, exchanged].to_numpy()[::-1]
scores = synth.anomaly_scores(mixed)
auc = float(roc_auc_score(swapped, scores["score"]))
print(f"mixed-up records among the held-out patients: AUC {auc:.2f}")
worst = scores["score"].idxmax()
print("oddest row, its three oddest cells (nats):", scores.loc[worst].drop("score").nlargest(3).round(1).to_dict())

# %% [markdown]
# Four of these answers in one picture: new patients, the old among them, the gaps, and the mixed-up records.

# %%
REAL, SYNTHETIC = "#3b6fb6", "#d9822b"  # told apart by colour-blind people as well
overview, panels = plt.subplots(2, 2, figsize=(9, 6.4), constrained_layout=True)
bins = np.histogram_bin_edges(train["bmi"].dropna(), 16)
for rows, colour, label in ((train, REAL, "real"), (synthetic, SYNTHETIC, "synthetic")):
    panels[0, 0].hist(rows["bmi"].dropna(), bins, density=True, histtype="step", linewidth=2, color=colour, label=label)
panels[0, 0].set(title="Body mass index", xlabel="kg/m²", ylabel="density")
panels[0, 0].legend(frameon=False)

rise = ["blood_pressure", "cholesterol", "glucose"]
base = train[rise].mean()
for shift, rows, colour, label in ((-0.2, real_old, REAL, "real, 65+"), (0.2, old, SYNTHETIC, "synthetic, 65+")):
    higher = 100 * (rows[rise].mean() / base - 1)
    panels[0, 1].bar(np.arange(3) + shift, higher, 0.38, color=colour, label=label)
panels[0, 1].set(title="Patients of 65 and older", ylabel="above the mean of all, %")
panels[0, 1].set_xticks(range(3), [name.replace("_", " ") for name in rise])
panels[0, 1].legend(frameon=False)

gap = table["bmi"].isna()
draws = np.stack([one.loc[gap, "bmi"].to_numpy() for one in imputed])
middle, low, high = draws.mean(0), draws.min(0), draws.max(0)
truth = complete.loc[gap, "bmi"].to_numpy()
panels[1, 0].errorbar(
    truth, middle, (middle - low, high - middle), fmt="o", color=SYNTHETIC, ecolor="#c9c9c9", markersize=4
)
panels[1, 0].axline((truth.min(), truth.min()), slope=1, color="#888888", linewidth=1, linestyle="--")
panels[1, 0].set(title="Gaps filled", xlabel="true body mass index", ylabel="mean draw, lowest to highest")

bins = np.histogram_bin_edges(scores["score"], 14)
for chosen, colour, label in ((~swapped, REAL, "left alone"), (swapped, SYNTHETIC, "mixed up")):
    panels[1, 1].hist(scores["score"][chosen], bins, histtype="step", linewidth=2, color=colour, label=label)
panels[1, 1].set(title=f"Odd rows (AUC {auc:.2f})", xlabel="anomaly score, nats", ylabel="held-out patients")
panels[1, 1].legend(frameon=False)
for panel in panels.flat:
    panel.spines[["top", "right"]].set_visible(False)
overview.savefig(hospital / "overview.png", dpi=100)
overview

# %% [markdown]
# ## 8. The report
# One HTML file, no network needed: every figure beside the holdout's, columns, pairs, rare categories, and attacks. It shows
# no group of fewer than 10 people. Read the privacy part first.

# %%
report = synth.report(
    train, holdout, seed=options.seed, title="Synthetic patients", figures=() if options.short else None
)
report.save(release / "report.html")
if report.figures is not None:
    wanted = (
        "fidelity.shape", "fidelity.trend_shared", "fidelity.c2st", "utility.loss", "privacy.dcr_share",
        "privacy.copies", "privacy.membership_auc", "privacy.membership_tpr1",
    )  # fmt: skip
    shown = report.figures.to_frame().loc[list(wanted), ["value", "holdout", "perfect", "unit"]]
    print(shown.round(3).to_string(na_rep="-"))

# %% [markdown]
# ## 9. The release sheet
# What leaves the hospital is a folder of three files: the synthetic rows, the report, and the card that says what was learnt, on
# how many rows, with which versions and which seed. The generator file stays inside: it can draw as many rows as anyone likes.
#
# **What the sheet does not say is that the rows are anonymous.** The attacks are the ones that we ran. A weak result is a reason to
# stop; a good one is not a proof. Differential privacy, which would be one, is not in this version.

# %%
write_table(synthetic, release / "synthetic.csv")
digest = synth.save(hospital / "generator.pkl")
card = synth.card()
(release / "card.md").write_text(card_markdown(card, report.figures), encoding="utf-8")
print("generator (stays here), sha256", digest)
print("release:", sorted(path.name for path in release.iterdir()))

# %% [markdown]
# Anyone inside who has the generator and its digest can draw the same rows again, and be sure that the file was not exchanged. Opening
# it runs no code.

# %%
again = TVAESynthesizer.load(hospital / "generator.pkl", expected_sha256=digest)
same = again.sample(len(train), random_state=options.seed)
pd.testing.assert_frame_equal(same, synthetic)
print("drawn again from the file: the same", len(same), "rows")
print(json.dumps({key: card[key] for key in ("rows", "columns", "random_state")}))
plt.close("all")
