"""Do synthetic rows keep what is true of every real row, and what does keeping cost?

    python benchmarks/relations.py [--tables hospital,flights] [--engines on,off] [--seeds 1] [--data FOLDER]

One fit a (table, seed, engine), one after the other, and one line of a markdown table each; the first line of a table is
the training rows themselves. Everything is held against a holdout. ``made_tables.py`` states what is true.

Engines: ``on`` (the defaults), ``off`` (the metadata's ``relations`` are an empty list), ``independent`` (the paper's
decoder, relations on), ``sdv-tvae`` and ``sdv-copula`` (SDV as its documentation calls it), ``mostly`` (mostlyai-engine
in the Python of ``--mostly``). A first, tiny fit that is not timed loads what engines load once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from made_tables import MADE, MadeTable

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.evaluation import c2st, shape_error, trend_error

Fitted = tuple[Callable[[int], pd.DataFrame], float]
"""What draws rows, and the seconds of the fit."""

_MOSTLY = """
import sys, time, pandas as pd
from mostlyai.engine import TabularARGN
folder, minutes, seed, n = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
df = pd.read_parquet(folder + "/train.parquet")
begun = time.perf_counter()
model = TabularARGN(max_training_time=minutes, random_state=seed, verbose=0)
model.fit(df)
fitted = time.perf_counter()
model.sample(n_samples=n).to_parquet(folder + "/rows.parquet")
print("seconds", fitted - begun, time.perf_counter() - fitted)
"""


def ours(df: pd.DataFrame, metadata: Metadata, seed: int, settings: dict[str, Any]) -> Fitted:
    begun = time.perf_counter()
    synth = TVAESynthesizer(df, metadata, random_state=seed, verbose=False, **settings).fit()
    return lambda n: synth.sample(n, random_state=seed), time.perf_counter() - begun


def warm_up() -> None:
    """Load what a first fit loads once."""
    df = pd.DataFrame({"a": np.random.default_rng(1).normal(size=60), "b": ["x", "y"] * 30})
    ours(df, Metadata.infer(df), 1, {"epochs": 1})[0](10)


def sdv(engine: str, df: pd.DataFrame, metadata: Metadata, seed: int, settings: dict[str, Any]) -> Fitted:
    from sdv import single_table
    from sdv.metadata import Metadata as SdvMetadata

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  SDV draws from it
    # SDV takes no pandas text dtypes: it is handed what pandas.read_csv gives.
    plain = df.astype(
        {name: object for name in df if not pd.api.types.is_numeric_dtype(df[name]) and df[name].dtype.kind != "M"}
    )
    described = SdvMetadata.load_from_dict(metadata.to_sdv())
    begun = time.perf_counter()
    if engine == "sdv-tvae":
        synth = single_table.TVAESynthesizer(described, enable_gpu=False, **settings)
    else:
        synth = single_table.GaussianCopulaSynthesizer(described)
    synth.fit({"table": plain})

    def draw(n: int) -> pd.DataFrame:
        rows = synth.sample(n)
        return rows["table"] if isinstance(rows, dict) else rows

    return draw, time.perf_counter() - begun


def mostly(python: str, df: pd.DataFrame, seed: int, minutes: float, n: int) -> tuple[pd.DataFrame, float, float]:
    """Return rows of mostlyai-engine, and the seconds of its fit and of its draw."""
    with tempfile.TemporaryDirectory() as folder:
        df.to_parquet(f"{folder}/train.parquet")
        command = [python, "-c", _MOSTLY, folder, str(minutes), str(seed), str(n)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("seconds")[-1].split()
        return pd.read_parquet(f"{folder}/rows.parquet"), float(told[0]), float(told[1])


def drawn(
    engine: str, df: pd.DataFrame, metadata: Metadata, seed: int, n: int, arguments: argparse.Namespace
) -> tuple[pd.DataFrame, float, float]:
    """Fit an engine and return rows, the seconds of the fit and of the draw."""
    if engine == "mostly":
        return mostly(arguments.mostly, df, seed, arguments.max_minutes or 10, n)
    epochs = {"epochs": arguments.epochs} if arguments.epochs else {}
    limits = {"max_minutes": arguments.max_minutes} if arguments.max_minutes else {}
    if engine.startswith("sdv"):
        draw, fit_seconds = sdv(engine, df, metadata, seed, epochs)
    else:
        settings = {**epochs, **limits, **({"decoder": "independent"} if engine == "independent" else {})}
        described = replace(metadata, relations=()) if engine == "off" else metadata
        draw, fit_seconds = ours(df, described, seed, settings)
    begun = time.perf_counter()
    rows = draw(n)
    return rows, fit_seconds, time.perf_counter() - begun


def held(rows: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of an engine with the dtypes of the real ones, for the rules: other engines give other dtypes."""
    return pd.DataFrame(
        {
            name: pd.to_datetime(rows[name]) if like[name].dtype.kind == "M"
            else pd.to_numeric(rows[name]).astype("float64") if pd.api.types.is_numeric_dtype(like[name])
            else rows[name].astype(like[name].dtype)
            for name in like
        }
    )  # fmt: skip


def line(
    made: MadeTable, train: pd.DataFrame, holdout: pd.DataFrame, rows: pd.DataFrame, metadata: Metadata, seed: int
) -> str:
    """Return the cells of the figures of synthetic rows, each held against the holdout."""
    masks, real = made.broken(rows, train), made.broken(holdout, train)
    told = [
        f"{text} {100 * mask.mean():.2f}% ({100 * real[text].mean():.2f})"
        for text, mask in masks.items()
        if mask.mean() > real[text].mean()
    ]
    any_broken, real_broken = (
        100 * np.logical_or.reduce(list(found.values())).mean() if found else 0.0 for found in (masks, real)
    )
    measured = [f"{text} {measure(holdout, rows):.2f}" for text, measure in made.measures.items()]
    figures = (
        f"{shape_error(holdout, rows, metadata):.2f}",
        f"{trend_error(holdout, rows, metadata):.2f}",
        f"{c2st(holdout, rows, metadata, seed=seed):.3f}",
    )
    return " | ".join([f"{any_broken:.2f} ({real_broken:.2f})", "; ".join(told), "; ".join(measured), *figures])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tables",
        default="hospital,hospital-minutes,flights,personnel,laboratory",
        help="which, with commas: " + ", ".join(MADE),
    )
    parser.add_argument("--engines", default="on,off", help="which, with commas")
    parser.add_argument("--seeds", default="1", help="which, with commas")
    parser.add_argument("--rows", type=int, help="rows to learn; left out, as many as the table has by itself")
    parser.add_argument("--epochs", type=int, help="of every network; left out, each engine's own")
    parser.add_argument("--max-minutes", type=float, help="of training, of ours and mostlyai's")
    parser.add_argument("--data", type=Path, help="the folder of support2, employees and default: see README.md")
    parser.add_argument("--mostly", default="python", help="a Python that has mostlyai-engine")
    parser.add_argument("--keep-rows", type=Path, help="write every engine's rows into this folder, as Parquet")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        "| table | seed | engine | rows that break a rule, % (holdout's) | which more often than the holdout (holdout's) | lengths and rates off, % | Shape, % | Trend, % | C2ST AUC | fit, s | rows/s drawn | load |"
    )
    print("| --- " * 12 + "|", flush=True)
    warm_up()
    for name in arguments.tables.split(","):
        made = MADE[name]
        for seed in map(int, arguments.seeds.split(",")):
            train, holdout, metadata = made.parts(arguments.rows, seed, arguments.data)
            title = f"| {name} {len(train):,} x {train.shape[1]} | {seed} |"
            print(title, "real |", line(made, train, holdout, train, metadata, seed), "| | | |", flush=True)
            for engine in arguments.engines.split(","):
                load = os.getloadavg()[0]
                rows, fit_seconds, draw_seconds = drawn(engine, train, metadata, seed, len(train), arguments)
                rows = held(rows, train)
                if arguments.keep_rows:
                    rows.to_parquet(arguments.keep_rows / f"{name}-{seed}-{engine}.parquet")
                costs = f"| {fit_seconds:.1f} | {len(train) / draw_seconds:,.0f} | {load:.1f} |"
                print(title, engine, "|", line(made, train, holdout, rows, metadata, seed), costs, flush=True)


if __name__ == "__main__":
    main()
