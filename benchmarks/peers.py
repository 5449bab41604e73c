"""Beside mostlyai-engine: as long as it takes, and as long as ours takes by itself.

    python benchmarks/peers.py --data FOLDER --mostly PYTHON [--tables magic,adult] [--seeds 1]

Each table is split as in ``fidelity.py``. mostlyai-engine learns the training rows with its defaults, in the Python of
``--mostly``; then ours learns them in ``max_minutes`` of the same length (``privacy="none"``, the table itself: mostlyai's
rows are not those of a student, either), and with its defaults, without a limit. Every engine draws as many rows as the test
part has; Shape and Trend (errors in percent) and the C2ST AUC hold them against that part, which nobody learnt. ``real`` are as
many of the learnt rows. Seconds are those of the fit, by the clock, one fit at a time; run it with ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import pandas as pd
from real_tables import Parts, load
from relations import held, mostly, ours, warm_up

from clover_tvae.evaluation import c2st, shape_error, trend_error

__all__ = ["ENGINES", "drawn", "figures", "main"]

ENGINES = ("real", "mostlyai", "ours, as long", "ours")
#: Minutes: mostlyai's own limit.
_NO_LIMIT = 14_400.0


def drawn(engine: str, parts: Parts, seed: int, python: str, seconds: float | None) -> tuple[pd.DataFrame, float]:
    """Learn the training rows; return as many rows as the test part has, and the seconds of the fit.

    Args:
        engine: One of ``ENGINES``.
        parts: The table.
        seed: Of the fit and the draw.
        python: A Python that has mostlyai-engine.
        seconds: What mostlyai's fit took, for the engine that may take as long.
    """
    train, n = parts.train, len(parts.test)
    if engine == "real":
        return train.sample(n, replace=n > len(train), random_state=seed).reset_index(drop=True), 0.0
    if engine == "mostlyai":
        rows, fit_seconds, _ = mostly(python, train, seed, _NO_LIMIT, n)
        return held(rows, train), fit_seconds
    limits = {} if seconds is None else {"max_minutes": seconds / 60, "privacy": "none"}
    draw, fit_seconds = ours(train, parts.metadata, seed, limits)
    return draw(n), fit_seconds


def figures(parts: Parts, rows: pd.DataFrame, seed: int) -> list[float]:
    """Return Shape, Trend and C2ST of rows against the test part."""
    test, metadata = parts.test, parts.metadata
    return [
        shape_error(test, rows, metadata),
        trend_error(test, rows, metadata),
        c2st(test, rows, metadata, seed=seed),
    ]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the tables: see README.md")
    parser.add_argument("--tables", default="magic,adult,shoppers,default", help="which, with commas")
    parser.add_argument("--seeds", default="1", help="which, with commas")
    parser.add_argument("--rows", type=int, help="so many rows of each file only")
    parser.add_argument("--mostly", default="python", help="a Python that has mostlyai-engine")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    print("| table | seed | engine | Shape, % | Trend, % | C2ST AUC | fit, s | load |")
    print("| --- " * 8 + "|", flush=True)
    warm_up()
    for name in options.tables.split(","):
        for seed in map(int, options.seeds.split(",")):
            parts, longest = load(options.data, name, seed, options.rows), None
            for engine in ENGINES:
                load_before = os.getloadavg()[0]
                rows, seconds = drawn(engine, parts, seed, options.mostly, longest if "as long" in engine else None)
                longest = seconds if engine == "mostlyai" else longest
                shape, trend, auc = figures(parts, rows, seed)
                told = f"{shape:.2f} | {trend:.2f} | {auc:.3f} | {seconds:.0f} | {load_before:.1f}"
                print(f"| {name} {len(parts.train):,} | {seed} | {engine} | {told} |", flush=True)


if __name__ == "__main__":
    main()
