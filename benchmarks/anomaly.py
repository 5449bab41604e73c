"""Can the model point at wrong cells? Anomaly scores beside scikit-learn's IsolationForest.

    python benchmarks/anomaly.py --data FOLDER [--table adult] [--seeds 3] [--output FOLDER]

1% of the rows of a real table are corrupted: two rows swap one cell, so that every column keeps its values and only the
rows make no sense. Both detectors learn the corrupted training rows (nobody has a clean table) and score them, and score
test rows corrupted alike, which they never saw. ``README.md`` explains the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fidelity import plain, spread, versions
from real_tables import TABLES, load

from clover_tvae import Metadata, TVAESynthesizer

__all__ = ["FIGURES", "Corrupted", "corrupt", "forest_scores", "judge", "main", "markdown", "measure"]

#: Key, heading.
FIGURES = (
    ("auc_score", "AUC, score"),
    ("auc_highest", "AUC, highest cell"),
    ("auc_highest_excess", "AUC, highest excess"),
    ("auc_forest", "AUC, IsolationForest"),
    ("first", "wrong cell first, by share"),
    ("first_excess", "wrong cell first, by excess"),
    ("third_excess", "wrong cell in first 3, by excess"),
    ("chance", "first by chance"),
)
PARTS = ("learnt", "fresh")
_N_TREES = 300  # scikit-learn's default is 100; more only make its scores steadier


@dataclass(frozen=True)
class Corrupted:
    """A table with swapped cells.

    Args:
        df: The table.
        rows: Positions of the corrupted rows, in rising order.
        columns: For each of them the column whose cell is wrong.
    """

    df: pd.DataFrame
    rows: np.ndarray
    columns: tuple[str, ...]


def corrupt(df: pd.DataFrame, columns: Sequence[str], share: float, rng: np.random.Generator) -> Corrupted:
    """Swap one cell of pairs of rows.

    Every pair draws its column first, all alike, then two rows that differ in it: a swap that changes nothing would be
    no error, and columns that are mostly one value are corrupted as often as the others.

    Args:
        df: The rows.
        columns: The columns that may be corrupted; constant ones never are.
        share: Share of the rows to corrupt, in (0, 1); rounded to pairs, at least one.
        rng: Draws columns and rows.

    Raises:
        ValueError: Every column is constant, so that no swap changes anything.
    """
    codes = {name: pd.factorize(df[name])[0] for name in columns}
    varied = [name for name in columns if len(np.unique(codes[name])) > 1]
    if not varied:
        raise ValueError(f"all of the {len(columns)} columns are constant: no swap of cells changes anything")
    unused = np.ones(len(df), dtype=bool)
    wrong: dict[int, str] = {}
    swapped = df.copy()
    for _ in range(max(1, round(share * len(df) / 2))):
        name = varied[rng.integers(len(varied))]
        cells = codes[name]
        one = rng.choice(np.flatnonzero(unused))
        others = np.flatnonzero(unused & (cells != cells[one]))
        if not len(others):
            continue
        other = rng.choice(others)
        unused[[one, other]] = False
        wrong |= {int(one): name, int(other): name}
        at = swapped.columns.get_loc(name)
        swapped.iloc[[one, other], at] = df.iloc[[other, one], at].array
    rows = np.array(sorted(wrong), dtype=np.int64)
    return Corrupted(swapped, rows, tuple(wrong[row] for row in rows))


def forest_scores(
    learnt: pd.DataFrame, frames: Sequence[pd.DataFrame], metadata: Metadata, seed: int
) -> list[np.ndarray]:
    """Return IsolationForest's scores of each frame, higher is odder: categories one-hot, gaps filled and flagged."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import IsolationForest
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    categories = list(metadata.of_kind("categorical"))
    numbers, dates = list(metadata.of_kind("continuous")), metadata.of_kind("datetime")

    def flat(df: pd.DataFrame) -> pd.DataFrame:
        # A gap in a column of categories is one more category.
        columns: dict[str, Any] = {name: df[name].astype(object).fillna("(missing)") for name in categories}
        columns |= {name: df[name].astype("Float64").to_numpy(dtype=float, na_value=np.nan) for name in numbers}
        for name in dates:
            days = (pd.to_datetime(df[name]) - pd.Timestamp(0)) / pd.Timedelta(days=1)
            columns[name] = days.to_numpy(dtype=float)
        return pd.DataFrame(columns)

    preparation = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), categories),
            (
                "numbers",
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                [*numbers, *dates],
            ),
        ]
    )
    forest = make_pipeline(preparation, IsolationForest(n_estimators=_N_TREES, random_state=seed))
    forest.fit(flat(learnt))
    return [-forest.score_samples(flat(df)) for df in frames]


def _shown(corrupted: Corrupted, n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the rows to score: all corrupted ones, and clean ones up to ``n_rows``.

    An AUC does not depend on how many clean rows there are to a corrupted one.
    """
    clean = np.setdiff1d(np.arange(len(corrupted.df)), corrupted.rows)
    drawn = rng.permutation(clean)[: max(n_rows - len(corrupted.rows), 1)]
    return np.sort(np.concatenate([corrupted.rows, drawn]))


def judge(scores: pd.DataFrame, usual: pd.Series, wrong: Mapping[int, str], forest: np.ndarray) -> dict[str, float]:
    """Return the figures of one part; rows of ``scores`` are labelled by their position in the part."""
    from sklearn.metrics import roc_auc_score

    cells = scores.drop(columns="score")
    excess = cells - usual
    is_wrong = scores.index.isin(list(wrong))
    at = scores.index.get_indexer(list(wrong)), cells.columns.get_indexer(list(wrong.values()))

    def odder(table: pd.DataFrame) -> np.ndarray:
        """How many cells of each corrupted row are odder than the wrong one."""
        values = table.to_numpy()
        return (values[at[0]] > values[at][:, None]).sum(axis=1)

    return {
        "auc_score": float(roc_auc_score(is_wrong, scores["score"])),
        "auc_highest": float(roc_auc_score(is_wrong, cells.max(axis=1))),
        "auc_highest_excess": float(roc_auc_score(is_wrong, excess.max(axis=1))),
        "auc_forest": float(roc_auc_score(is_wrong, forest)),
        "first": float((odder(cells) == 0).mean()),
        "first_excess": float((odder(excess) == 0).mean()),
        "third_excess": float((odder(excess) < 3).mean()),
        "chance": 1 / cells.shape[1],
    }


def measure(
    data: Path,
    table: str,
    seed: int,
    *,
    share: float = 0.01,
    score_rows: int = 5_000,
    epochs: int | None = None,
    n_rows: int | None = None,
) -> dict[str, Any]:
    """Corrupt a table, learn it with both detectors, and hold their scores against what was corrupted.

    Args:
        data: Folder of the tables.
        table: A key of ``real_tables.TABLES``.
        seed: Of split, corruption and both detectors.
        share: Share of the rows corrupted, in (0, 1).
        score_rows: Most rows of each part to score.
        epochs: Overrules the synthesizer's own length.
        n_rows: Rows of each file to use.

    Returns:
        ``figures`` of each of ``PARTS``, ``costs``, and what was measured on.
    """
    parts = load(data, table, seed, n_rows)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xBAD]))
    columns = [column.name for column in parts.metadata.columns if column.kind != "id"]
    corrupted = {
        part: corrupt(df, columns, share, rng) for part, df in zip(PARTS, (parts.train, parts.test), strict=True)
    }
    load_before = os.getloadavg()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = time.perf_counter()
        synth = TVAESynthesizer(
            corrupted["learnt"].df, parts.metadata, random_state=seed, epochs=epochs, verbose=False
        ).fit()
        fit_seconds = time.perf_counter() - started
        shown = {part: _shown(one, score_rows, rng) for part, one in corrupted.items()}
        frames = {part: corrupted[part].df.iloc[rows] for part, rows in shown.items()}
        started, cpu = time.perf_counter(), time.process_time()
        scores = {part: synth.anomaly_scores(frame).set_axis(shown[part], axis=0) for part, frame in frames.items()}
        score_seconds, score_cpu = time.perf_counter() - started, time.process_time() - cpu
        started = time.perf_counter()
        forest = forest_scores(corrupted["learnt"].df, list(frames.values()), parts.metadata, seed)
        forest_seconds = time.perf_counter() - started
    # Some columns are always hard to foretell: a cell's excess is over the median of its column in the table learnt.
    usual = scores["learnt"].drop(columns="score").median()
    figures = {
        part: judge(scores[part], usual, dict(zip(map(int, one.rows), one.columns, strict=True)), of_forest)
        for (part, one), of_forest in zip(corrupted.items(), forest, strict=True)
    }
    return {
        "table": table,
        "seed": seed,
        "settings": {"share": share, "score_rows": score_rows, "epochs": epochs, "rows": n_rows},
        "rows": {part: len(one.df) for part, one in corrupted.items()},
        "corrupted": {part: len(one.rows) for part, one in corrupted.items()},
        "columns": len(columns),
        "figures": figures,
        "costs": {
            "fit_seconds": fit_seconds,
            "rows_scored_per_second": sum(map(len, frames.values())) / score_seconds,
            "rows_scored_per_cpu_second": sum(map(len, frames.values())) / score_cpu,
            "forest_seconds": forest_seconds,
            "load_before": load_before,
        },
        "versions": versions(),
    }


def markdown(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the runs as a page: medians over the seeds (least..most)."""
    first = runs[0]
    told = ", ".join(f"{name} {number}" for name, number in first["versions"].items())
    sizes = "; ".join(
        f"{part}: {first['corrupted'][part]:,} of {first['rows'][part]:,} rows corrupted" for part in PARTS
    )
    settings = first["settings"]
    limits = [f"{name} {settings[name]}" for name in ("epochs", "rows") if settings[name] is not None]
    lines = [
        f"{first['table']}, {first['columns']} columns, {len(runs)} seed(s); {sizes}. "
        f"{'Defaults' if not limits else 'Not defaults: ' + ', '.join(limits)}; {told}.",
        "",
        "| rows | " + " | ".join(heading for _, heading in FIGURES) + " |",
        "| --- " * (len(FIGURES) + 1) + "|",
    ]
    for part in PARTS:
        cells = []
        for figure, _ in FIGURES:
            found = spread(run["figures"][part][figure] for run in runs)
            ends = f" ({found['min']:.3f}..{found['max']:.3f})" if found["min"] != found["max"] else ""
            cells.append(f"{found['median']:.3f}{ends}")
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    costs = {name: spread(run["costs"][name] for run in runs)["median"] for name in first["costs"]}
    lines += [
        "",
        f"Learnt in {costs['fit_seconds']:.0f} s, {costs['rows_scored_per_second']:,.0f} rows scored a second "
        f"({costs['rows_scored_per_cpu_second']:,.0f} a CPU second); "
        f"IsolationForest took {costs['forest_seconds']:.0f} s in all; load before {costs['load_before']:.1f}.",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--table", default="adult", choices=list(TABLES))
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 to this many")
    parser.add_argument("--share", type=float, default=0.01, help="share of the rows to corrupt")
    parser.add_argument("--score-rows", type=int, default=5_000, help="most rows of each part to score")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/output"), help="folder of what is written")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--epochs", type=int, help="overrule the defaults: to try the script")
    parser.add_argument("--rows", type=int, help="rows of each file: to try the script")
    given = parser.parse_args(arguments)
    if not 0 < given.share < 1 or min(given.seeds, given.threads, given.score_rows) < 1:
        parser.error("--share must be between 0 and 1; --seeds, --threads and --score-rows at least 1")
    import torch

    torch.set_num_threads(given.threads)
    given.output.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    for seed in range(1, given.seeds + 1):
        run = measure(
            given.data,
            given.table,
            seed,
            share=given.share,
            score_rows=given.score_rows,
            epochs=given.epochs,
            n_rows=given.rows,
        )
        runs.append(run)
        told = ", ".join(f"{part} {run['figures'][part]['auc_score']:.3f}" for part in PARTS)
        print(f"{given.table}, seed {seed}: AUC {told}", file=sys.stderr, flush=True)
        # Written after every seed: a benchmark that is cut short keeps those that ended.
        page = markdown(runs)
        name = f"anomaly_{given.table}"
        (given.output / f"{name}.json").write_text(json.dumps(plain(runs), indent=2, allow_nan=False) + "\n", "utf-8")
        (given.output / f"{name}.md").write_text(page, encoding="utf-8")
    print(markdown(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
