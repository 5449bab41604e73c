"""What can be told of the people who were learnt, and what it costs: files and rows attacked, fidelity on fresh rows.

    python benchmarks/private.py --data FOLDER [adult:1000 support2:1000 default:1000 hr:300] [--splits 4] [--privacy none]

Each split learns n people and keeps n others out. A line a table, medians over the splits: the area under the ROC curve and
the true-positive rate at 1% false positives of the file's own likelihood (``anomaly_scores``); the area of trees that tell 20n
drawn rows from reference rows, by their margin; C2ST, Shape and Trend against fresh rows; the AUC of trees trained on
synthetic rows (the mean of eight tables of n) and tested on fresh ones, beside that of trees trained on the people; CPU seconds of the fit; the share of the
numbers that one learnt person alone has (``once``), and of those that one person kept out alone has (``never``), which are drawn.

Categories below 1% are merged and columns with over 5% of missing cells left out: the figures are those of the model, not
of the guards. ``bootstrap`` (the learnt rows, drawn again) and ``fresh`` stand in for ``--privacy`` as yardsticks, and
``sdv-tvae``, ``sdv-copula`` and ``mostly`` as peers, with their own defaults: only their rows are attacked.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from real_tables import TABLES
from relations import drawn as drawn_by
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OrdinalEncoder

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.evaluation import c2st, shape_error, trend_error, tstr
from clover_tvae.tables import read_table

__all__ = ["attack", "main", "prepared"]

FIGURES = ("file", "tpr", "trees", "c2st", "shape", "trend", "downstream", "real", "cpu", "once", "never")
_TIMES, _TABLES, _MOST_FRESH, _MOST_REFERENCE = 20, 8, 3_000, 6_000
_PEERS = ("sdv-tvae", "sdv-copula", "mostly")


def prepared(folder: Path, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a table without rare categories, sparse columns, identifiers and repeated rows, and its metadata."""
    known = TABLES[name]
    metadata = known.metadata(folder / known.file)
    df = read_table(folder / known.file, metadata).drop(columns=[*known.dropped, *known.identifiers])
    df = df.loc[:, (df.isna().mean() < 0.05) & (df.nunique() > 1)].dropna().drop_duplicates()
    categories = [c for c in known.categorical if c in df]
    for column in categories:
        text = df[column].astype(str)
        df[column] = text.where(text.map(text.value_counts(normalize=True)) >= 0.01, "other")
    numbers = [c for c in df if c not in categories and c not in known.dates]
    described = {"continuous": numbers, "categorical": categories, "variable_to_predict": known.target}
    return df[[*numbers, *categories]].reset_index(drop=True), described


def attack(
    df: pd.DataFrame, metadata: dict[str, Any], n: int, seed: int, privacy: str | None, options: argparse.Namespace
) -> dict[str, float]:
    """Learn ``n`` rows, attack what was learnt, and measure it against fresh rows: see ``FIGURES``."""
    df = df.sample(frac=1, random_state=seed).reset_index(drop=True)
    learnt, others, rest = df[:n].reset_index(drop=True), df[n : 2 * n].reset_index(drop=True), df[2 * n :]
    n_fresh = min(_MOST_FRESH, len(rest) // 2)
    fresh = rest[:n_fresh].reset_index(drop=True)
    reference = rest[n_fresh : n_fresh + _MOST_REFERENCE]
    people = pd.concat([learnt, others], ignore_index=True)
    is_member = np.repeat([1, 0], n)
    out = dict.fromkeys(FIGURES, float("nan"))
    if privacy in ("bootstrap", "fresh"):
        source = learnt if privacy == "bootstrap" else rest[n_fresh:]
        synthetic = source.sample(_TIMES * n, replace=True, random_state=seed).reset_index(drop=True)
    elif privacy in _PEERS:
        described = Metadata.from_dict(metadata)
        synthetic, out["cpu"], _ = drawn_by(privacy, learnt, described, seed, _TIMES * n, options)
        synthetic = synthetic.astype({c: learnt[c].dtype for c in metadata["continuous"]})[list(learnt)]
    else:
        started = time.process_time()
        synth = TVAESynthesizer(learnt, metadata, random_state=seed, privacy=privacy, verbose=False).fit()
        out["cpu"] = time.process_time() - started
        synthetic = synth.sample(_TIMES * n)
        score = -synth.anomaly_scores(people)["score"].to_numpy(float)
        out["file"] = roc_auc_score(is_member, score)
        out["tpr"] = float((score[:n] > np.quantile(score[n:], 0.99)).mean())
    coded = _coded(metadata["categorical"], people, synthetic, reference)
    labels = np.repeat([1, 0], [len(synthetic), len(reference)])
    weights = 1.0 / np.repeat([len(synthetic), len(reference)], [len(synthetic), len(reference)])
    trees = HistGradientBoostingClassifier(max_iter=120, max_depth=5, min_samples_leaf=10, random_state=seed)
    trees.fit(coded[2 * n :], labels, sample_weight=weights / weights.mean())
    out["trees"] = roc_auc_score(is_member, trees.decision_function(coded[: 2 * n]))
    numbers = metadata["continuous"]
    out["once"], out["never"] = (
        once_only(one, other, synthetic, numbers) for one, other in ((learnt, others), (others, learnt))
    )
    drawn = synthetic[:n_fresh]
    out["c2st"] = c2st(fresh, drawn, metadata, seed=seed)
    out["shape"], out["trend"] = shape_error(fresh, drawn, metadata), trend_error(fresh, drawn, metadata)
    target, found = metadata["variable_to_predict"], []
    for i in range(_TABLES):  # of one table of 300 rows it has a standard deviation of .035
        rows = synthetic[i * n : (i + 1) * n].reset_index(drop=True)
        scores = tstr(learnt, rows, fresh, target, metadata, seed=seed).set_index(["model", "score"])
        found.append(scores.loc[("trees", "auc"), ["synthetic", "real"]])
    out["downstream"], out["real"] = np.mean(found, axis=0)
    return out


def once_only(one: pd.DataFrame, other: pd.DataFrame, drawn: pd.DataFrame, numbers: list[str]) -> float:
    """Return the share of the numbers that stand once in one table, and nowhere in the other, which were drawn."""
    found = []
    for name in numbers:
        counts = one[name].value_counts()
        alone = counts.index[counts == 1].difference(other[name].unique())
        found.append(alone.isin(drawn[name].unique()))
    return float(np.concatenate(found).mean())


def _coded(categories: list[str], *tables: pd.DataFrame) -> np.ndarray:
    both = pd.concat(tables, ignore_index=True)
    both[categories] = OrdinalEncoder().fit_transform(both[categories].astype(str))
    return both.to_numpy(float)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=["adult:1000", "support2:1000", "default:1000", "hr:300"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--privacy", choices=["student", "none", "bootstrap", "fresh", *_PEERS], default=None)
    parser.add_argument("--mostly", default="python", help="a Python that has mostlyai-engine")
    options = parser.parse_args(argv, argparse.Namespace(epochs=None, max_minutes=None))
    warnings.simplefilter("ignore")
    for item in options.tables:
        name, n = item.split(":")
        table, metadata = prepared(options.data, name)
        runs = [attack(table, metadata, int(n), seed, options.privacy, options) for seed in range(options.splits)]
        median = {key: statistics.median(run[key] for run in runs) for key in FIGURES}
        print(item, " ".join(f"{key} {value:.3f}" for key, value in median.items()), flush=True)


if __name__ == "__main__":
    main()
