# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Many men, few women: making more of the rare class
#
# Of 5,000 employees, 12% are women. A classifier that is trained on them as they are learns one thing above all: "man" is
# nearly always right. The usual cures are class weights, oversampling (the same women again and again) and SMOTE (points on the
# line between two women). A generator is another: it can *make* women. There are two ways:
#
# * train it on **all** rows and ask for women: `sample(n, conditions={"gender": "F"})`, or `balance("gender")` in one call;
# * train it on the **women only**, as tutorials do: what it makes are women, because it has never seen anyone else.
#
# We measure all of them on rows that nobody has seen. The employees do not exist (`make_employees.py`).
#
# Run it from the project's folder: `python examples/imbalance.py` (a few minutes).

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTENC
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import recall_score, roc_auc_score
from sklearn.model_selection import train_test_split

from clover_tvae import TVAESynthesizer
from clover_tvae.evaluation.fidelity import c2st
from clover_tvae.workflows import make_employees

parser = argparse.ArgumentParser(description="Make more of the rare class, and measure it.", allow_abbrev=False)
parser.add_argument("--output", default="examples/output", help="folder of the picture")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--short", action="store_true", help="a few seconds, for the tests")
options, _ = parser.parse_known_args()
output = Path(options.output)
output.mkdir(parents=True, exist_ok=True)

employees = make_employees(1500 if options.short else 5000).drop(columns="employee_id")
train, test = train_test_split(employees, test_size=0.5, random_state=options.seed, stratify=employees["gender"])
train, test = train.reset_index(drop=True), test.reset_index(drop=True)
women, test_women = train[train["gender"] == "F"], test[test["gender"] == "F"]
n_men = len(train) - len(women)
print(
    f"{len(train)} employees to learn from, {len(women)} of them women ({len(women) / len(train):.0%}); {len(test)} held out"
)
print(train.head(3).to_string())

# %% [markdown]
# ## The generators
# First way: one generator for everybody. `balance` adds as many women as are missing, and marks them in `is_synthetic`. No real
# row is dropped, and no synthetic row is drawn and thrown away: the condition is exact.

# %%
metadata = {
    "continuous": ["rating", "bonus", "salary"],
    "categorical": ["gender", "department", "city"],
    "ordinal": {"level": {"order": ["junior", "middle", "senior", "lead", "principal"]}},
    "boolean": ["remote"],
    "datetime": {"hire_date": {"format": "%Y-%m-%d"}},
    "variable_to_predict": "gender",
}
epochs = 2 if options.short else None
synth = TVAESynthesizer(train, metadata, random_state=options.seed, epochs=epochs, verbose=False).fit()
balanced = synth.balance("gender", df=train)
print(pd.crosstab(balanced["gender"], balanced["is_synthetic"]).to_string())

# %% [markdown]
# Second way: the women only. The column `gender` is constant then and says nothing, so that it is left out and put back.

# %%
of_women = {**metadata, "categorical": ["department", "city"], "variable_to_predict": None}
only = women.drop(columns="gender").reset_index(drop=True)
synth_women = TVAESynthesizer(only, of_women, random_state=options.seed, epochs=epochs, verbose=False).fit()

# %% [markdown]
# ## The other cures
# SMOTE needs numbers without gaps, so that dates become days, and missing cells a value of their own.

# %%
columns = [name for name in train.columns if name != "gender"]
texts = ["department", "level", "city", "remote"]


def without_gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as SMOTE needs them: dates as days, no missing cells."""
    days = (pd.to_datetime(rows["hire_date"]) - pd.Timestamp("2000-01-01")).dt.days
    filled = rows[columns].assign(hire_date=days, rating=rows["rating"].fillna(train["rating"].median()))
    return filled.assign(**{name: rows[name].fillna("unknown").astype(str) for name in texts})


def with_dates(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of SMOTE as they looked before."""
    dates = (pd.Timestamp("2000-01-01") + pd.to_timedelta(rows["hire_date"], unit="D")).dt.strftime("%Y-%m-%d")
    return rows.assign(hire_date=dates, remote=rows["remote"] == "True", city=rows["city"].replace("unknown", None))


smote = SMOTENC(categorical_features=texts, random_state=options.seed)
smoted, _ = smote.fit_resample(without_gaps(train), train["gender"])
n_new = n_men - len(women)
added = {
    "oversampling": women.sample(n_new, replace=True, random_state=options.seed),
    "SMOTE": with_dates(smoted[len(train) :]).assign(gender="F"),
    "generator of women": synth_women.sample(n_new, random_state=options.seed).assign(gender="F"),
    "generator of all,\nasked for women": balanced[balanced["is_synthetic"]].drop(columns="is_synthetic"),
}

# %% [markdown]
# ## Measure
# A classifier (boosted trees) guesses the gender of the held-out employees. **Recall** of women: which share of them does it
# find? The recall of men says what that costs: whoever calls everybody a woman finds all of them. **AUC** does not
# depend on where the line is drawn between the two.
#
# For the added rows themselves: **C2ST** is how well another classifier tells them from real, held-out women (0.5: it cannot),
# and **copies** is the share that is, cell for cell, a real woman of the training rows.


# %%
def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the classifier sees: days for dates, category columns for texts."""
    days = (pd.to_datetime(rows["hire_date"]) - pd.Timestamp("2000-01-01")).dt.days
    kinds = {name: pd.CategoricalDtype(sorted(employees[name].dropna().astype(str).unique())) for name in texts}
    as_text = {name: rows[name].astype(str).where(rows[name].notna()).astype(kinds[name]) for name in texts}
    return rows[columns].assign(hire_date=days, **as_text)


def score(rows: pd.DataFrame, class_weight: str | None = None) -> dict[str, float]:
    """Train on ``rows``, test on the held-out employees."""
    model = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.05, max_leaf_nodes=8, categorical_features="from_dtype",
        class_weight=class_weight, random_state=options.seed,
    )  # fmt: skip
    model.fit(features(rows), rows["gender"] == "F")
    truth, says = test["gender"] == "F", model.predict(features(test))
    return {
        "women": recall_score(truth, says),
        "men": recall_score(~truth, ~says),
        "auc": roc_auc_score(truth, model.predict_proba(features(test))[:, 1]),
    }


def copies(rows: pd.DataFrame) -> float:
    """Return which share of ``rows`` equals a real woman in every cell."""
    known = set(map(tuple, women[columns].astype(str).to_numpy()))
    return float(np.mean([row in known for row in map(tuple, rows[columns].astype(str).to_numpy())]))


results = {"as it is": score(train), "class weights": score(train, "balanced")}
for name, rows in added.items():
    results[name] = score(pd.concat([train, rows], ignore_index=True))
    pool = rows.sample(min(len(rows), len(test_women)), random_state=options.seed)
    results[name] |= {"c2st": c2st(test_women[columns], pool[columns], seed=options.seed), "copies": copies(rows)}
figures = pd.DataFrame(results).T
print(figures.round(2).rename(index=lambda name: name.replace("\n", " ")).to_string(na_rep=""))

# %%
plt.rcParams["font.size"] = 13
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained", sharey=True, width_ratios=(3, 2))
places = np.arange(len(figures))[::-1]
left.barh(places + 0.2, figures["women"], 0.38, color="#D55E00", label="women found (recall)")
left.barh(places - 0.2, figures["men"], 0.38, color="#0072B2", label="men found (recall)")
left.set_yticks(places, figures.index)
left.set(xlim=(0, 1), xlabel="share of the held-out employees", title="a classifier after each cure")
left.legend(loc="lower center", bbox_to_anchor=(0.5, -0.42), ncols=2, frameon=False)
right.barh(places, figures["c2st"].fillna(0), 0.6, color="#009E73")
for place, value, copied in zip(places, figures["c2st"], figures["copies"], strict=True):
    text = "adds no rows" if np.isnan(value) else f"{value:.2f}, copies {copied:.0%}"
    right.text(0.52 if np.isnan(value) else min(value, 1) + 0.01, place, text, va="center", fontsize=11)
right.axvline(0.5, color="0.4", ls="--", lw=1.5)
right.set(xlim=(0.4, 1.35), xticks=(0.5, 0.75, 1), xlabel="told from real women (0.5 is best)", title="the added women")
fig.savefig(output / "imbalance.png", dpi=90)
print("saved", output / "imbalance.png")

# %% [markdown]
# ## What to take along
# * Every cure moves the line between the classes, and finds women at the price of men. The AUC hardly moves: rows that are made
#   from the same 300 women hold no information that was not there. Nobody should expect more of any of them, generators included.
#   If *only* the recall is wanted, class weights cost one word.
# * What a generator adds are *rows*: new women that can be counted, filtered, handed to any tool and, after the privacy report,
#   to other people. Oversampling hands out the real women themselves; SMOTE hands out mixtures of two of them, without missing
#   cells.
# * Train on all rows where you can. What holds for everybody (how level and city set the salary) is then learnt from
#   everybody, and only what is particular to women from the few: C2ST 0.54 for the generator of all, 0.65 for the generator
#   of women (seed 1).
