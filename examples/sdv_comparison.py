# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # SDV's TVAE, the paper's TVAE, and a decoder that looks at its own cells
#
# Four ways to learn one table of employees, behind one face:
#
# | | network | how a cell is drawn |
# | --- | --- | --- |
# | `backend="sdv"` | SDV's own TVAE | likeliest category (argmax), drawn number |
# | `decoder="independent", decode="argmax"` | ours, as in the paper | likeliest category |
# | `decoder="independent"` | **the same weights** | every category is *drawn* |
# | `decoder="autoregressive"` (default) | ours | drawn, given the cells of the row that are there already |
#
# The first three have the same layers, the same number of epochs and the same batches. What differs between them is said below, with figures.
#
# Run it from the project's folder: `python examples/sdv_comparison.py` (some minutes).

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from clover_tvae import TVAESynthesizer
from clover_tvae.errors import CloverError
from clover_tvae.evaluation import c2st, dcr, shape_error, trend_error
from clover_tvae.workflows import make_employees

parser = argparse.ArgumentParser(description="SDV's TVAE and ours on one table.", allow_abbrev=False)
parser.add_argument("--epochs", type=int, default=300, help="of SDV's and of the independent decoder")
parser.add_argument("--output", default="examples/output", help="folder of the picture")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--short", action="store_true", help="a few seconds, for the tests")
options, _ = parser.parse_known_args()
output = Path(options.output)
output.mkdir(parents=True, exist_ok=True)

n = 400 if options.short else 1500
employees = make_employees(2 * n).drop(columns="employee_id")
train, holdout = employees[:n], employees[n:].reset_index(drop=True)
metadata = {
    "continuous": ["rating", "bonus", "salary"],
    "categorical": ["gender", "department", "city"],
    "ordinal": {"level": {"order": ["junior", "middle", "senior", "lead", "principal"]}},
    "boolean": ["remote"],
    "datetime": {"hire_date": {"format": "%Y-%m-%d"}},
}

# %% [markdown]
# ## Learn
# The autoregressive decoder finds its own number of epochs; the others get the same.

# %%
epochs = 2 if options.short else options.epochs
common = {"random_state": options.seed, "verbose": False}
synths = {
    "SDV": TVAESynthesizer(train, metadata, backend="sdv", epochs=epochs, **common).fit(),
    "independent": TVAESynthesizer(train, metadata, decoder="independent", epochs=epochs, **common).fit(),
    "autoregressive": TVAESynthesizer(train, metadata, epochs=2 if options.short else None, **common).fit(),
}
tables = {
    "SDV": synths["SDV"].sample(n, random_state=options.seed),
    "independent,\nargmax": synths["independent"].sample(n, random_state=options.seed, decode="argmax"),
    "independent": synths["independent"].sample(n, random_state=options.seed),
    "autoregressive": synths["autoregressive"].sample(n, random_state=options.seed),
}

# %% [markdown]
# ## Measure
# * **shape**: how far the columns are from the real ones, one by one (%). **trend**: the same for pairs of columns.
# * **C2ST learnt**: how well boosted trees tell the rows that were learnt from synthetic ones (0.5: they cannot). *Below* 0.5 is not better
#   still: the synthetic rows then sit so near to the learnt ones that the trees take them for those, as they do with copies.
# * **C2ST fresh**: the same against real rows that nobody learnt. It cannot be flattered by leaning on the learnt rows.
# * **DCR share**: how many synthetic rows are nearer to a learnt row than to any of as many fresh ones (0.5: no leaning).
# * **cities**: how many of the 30 cities still exist. **missing ratings**: share of empty cells. **women**: their share.
#
# `holdout` is what fresh *real* rows score: nobody can be expected to do better.

# %%
seconds = {name: synth.card()["training"]["seconds"] for name, synth in synths.items()}
rows = {}
for name, synthetic in {"holdout": holdout, **tables}.items():
    rows[name] = {
        "shape %": shape_error(train, synthetic, metadata),
        "trend %": trend_error(train, synthetic, metadata),
        "C2ST learnt": c2st(train, synthetic, metadata, seed=options.seed),
        "C2ST fresh": c2st(holdout, train if name == "holdout" else synthetic, metadata, seed=options.seed),
        "DCR share": np.nan if name == "holdout" else dcr(train, holdout, synthetic, metadata, seed=options.seed).share,
        "cities": synthetic["city"].nunique(),
        "women %": 100 * (synthetic["gender"] == "F").mean(),
        "missing ratings %": 100 * synthetic["rating"].isna().mean(),
        "seconds": seconds.get(name, np.nan),
    }
figures = pd.DataFrame(rows).T
print(figures.round(2).rename(index=lambda name: name.replace("\n", " ")).to_string(na_rep=""))

# %%
plt.rcParams["font.size"] = 13
colours = {"SDV": "#D55E00", "independent,\nargmax": "#E69F00", "independent": "#56B4E9", "autoregressive": "#0072B2"}
cities = train["city"].value_counts(normalize=True)
fig, (left, right) = plt.subplots(1, 2, figsize=(13, 4.8), layout="constrained", width_ratios=(3, 2))
places = np.arange(len(cities)) + 1
left.bar(places, 100 * cities, color="0.82", width=0.9, label="real")
for (name, colour), marker in zip(colours.items(), "Xs^o", strict=True):
    shares = 100 * tables[name]["city"].value_counts(normalize=True).reindex(cities.index, fill_value=0)
    left.plot(places, shares, marker=marker, color=colour, lw=0, ms=8, label=name.replace("\n", " "))
left.set_yscale("symlog", linthresh=0.5)
left.set_yticks((0, 0.5, 1, 5, 20, 100), ("0", "0.5", "1", "5", "20", "100"))
left.set(xlabel="city, from most to least frequent", ylabel="share of the rows (%)", title="rare cities")
left.legend(fontsize=11, ncols=2)
order = list(figures.index)[::-1]
right.barh(range(len(order)), figures.loc[order, "C2ST fresh"], color=[colours.get(name, "0.6") for name in order])
for place, name in enumerate(order):
    right.text(figures.loc[name, "C2ST fresh"] + 0.01, place, f"{figures.loc[name, 'C2ST fresh']:.2f}", va="center")
right.set_yticks(range(len(order)), order)
right.axvline(0.5, color="0.3", ls="--", lw=1.5)
right.set(
    xlim=(0.4, 1.1),
    xticks=(0.5, 0.75, 1),
    xlabel="told from fresh real rows (C2ST; 0.5: not at all)",
    title="whole rows",
)
fig.savefig(output / "sdv_comparison.png", dpi=85)
print("saved", output / "sdv_comparison.png")

# %% [markdown]
# ## What differs (1): the likeliest, or a draw
# A city with 1% of the employees is never the *likeliest* one for anybody, so that argmax never writes it. The network knows it, though: draw
# from the very same probabilities, and it is there, as often as it should be. Compare the rows `independent, argmax` and
# `independent`: the weights are the same.

# %% [markdown]
# ## What differs (2): sigma
# For each number the decoder learns one standard deviation, `sigma`: how unsure it is once `z` is known. The unit is four
# standard deviations of the value's mode (its part of the column's distribution), so that 0.25 means: `z` says nothing about
# the number beyond its mode, and 0.01, the lower bound, that it says all. SDV learns sigmas, too; here they are side by side.

# %%
sigmas = pd.DataFrame(
    {
        name: {column: float(np.mean(values)) for column, values in synths[name].sigmas().items()}
        for name in ("SDV", "independent")
    }
)
print(sigmas.round(3).to_string())

# %% [markdown]
# ## What differs (3): the encoder is kept
# SDV throws the encoder away after training. We keep it: rows can be placed on a map (`encode`), drawn again (`reconstruct`), and
# judged (`anomaly_scores`).

# %%
print(synths["independent"].encode(holdout.head(2)).iloc[:, :4].round(2).to_string())
encoder_kept = {}
for name, synth in synths.items():
    try:
        encoder_kept[name] = synth.encode(holdout.head(2)).shape[1] > 0
    except CloverError as error:
        encoder_kept[name] = False
        print(f"{name}: {type(error).__name__}: {error}")

# %% [markdown]
# ## What differs (4): cells that know of each other
# The paper's decoder draws all cells of a row on their own, given `z`. What `z` does not carry is lost: the trend and the
# C2ST say how much. The autoregressive decoder draws a salary that fits the level *and* the city *and* the year that it has
# just drawn. It leans on the learnt rows more than the others, though, where they are as few as here: its C2ST against them is below 0.5. It also makes conditions exact: every employee below was drawn, none thrown away.

# %%
wanted = {"gender": "F", "level": ["lead", "principal"], "salary": (">=", 80_000)}
print(synths["autoregressive"].sample(5, conditions=wanted, random_state=options.seed).to_string())

# %% [markdown]
# ## What to take along
# Take `backend="sdv"` to carry on with what you have, `decoder="independent"` to stay close to the paper, and the default
# for everything else. The decision guide in `examples/README.md` has the details.
