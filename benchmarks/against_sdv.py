"""Our paper decoder beside SDV 2's TVAE: the same table, the same epochs, the same sizes, fits run in turn.

    python benchmarks/against_sdv.py --data FOLDER [--tables adult,shoppers] [--epochs 300] [--repeats 3]

``FOLDER`` holds ``adult_train.csv`` and ``online_shoppers.csv`` (UCI). One fit of each engine in every round, in a process
of its own, so that whatever else the machine does slows both alike; seconds are medians over rounds, the ratio is that of the
medians. CPU seconds count the processes that SDV starts. Preparing is what a fit of one epoch takes beyond an epoch; the peak is
of the whole process, 360 MiB of which are there before the first fit. Both engines fit on all rows and draw as many; Shape
and Trend are errors in percent (lower is better), medians over rounds.
``floor`` is what a second real sample of the same size scores (training rows drawn with replacement).

Engines: ``ours`` (``decoder="independent"``), ``sdv`` (``backend="sdv"``: SDV's own fit, handed numbers and labels, with
denormal numbers flushed, which can only speed it up), ``sdv-plain`` (SDV's package called as its documentation does).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.evaluation.fidelity import shape_error, trend_error
from clover_tvae.tables import read_table

TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "adult": (
        "adult_train.csv",
        {
            "continuous": ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"],
            "categorical": [
                "workclass", "education", "marital_status", "occupation", "relationship", "race", "sex",
                "native_country", "income",
            ],
            "variable_to_predict": "income",
        },
    ),
    "shoppers": (
        "online_shoppers.csv",
        {
            "continuous": [
                "Administrative", "Administrative_Duration", "Informational", "Informational_Duration",
                "ProductRelated", "ProductRelated_Duration", "BounceRates", "ExitRates", "PageValues", "SpecialDay",
            ],
            "categorical": [
                "Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend", "Revenue",
            ],
            "variable_to_predict": "Revenue",
        },
    ),
}  # fmt: skip

Draw = Callable[[int], pd.DataFrame]


def fit_ours(df: pd.DataFrame, metadata: Metadata, settings: dict[str, Any], seed: int) -> Draw:
    synth = TVAESynthesizer(
        df, metadata, seed, decoder="independent", validation_fraction=0.0, verbose=False, **settings
    ).fit()
    return lambda n: synth.sample(n, random_state=seed)


def fit_sdv(df: pd.DataFrame, metadata: Metadata, settings: dict[str, Any], seed: int) -> Draw:
    synth = TVAESynthesizer(df, metadata, seed, backend="sdv", verbose=False, **settings).fit()
    return lambda n: synth.sample(n, random_state=seed)


def fit_sdv_plain(df: pd.DataFrame, metadata: Metadata, settings: dict[str, Any], seed: int) -> Draw:
    from sdv.metadata import Metadata as SdvMetadata
    from sdv.single_table import TVAESynthesizer as SdvSynthesizer

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  SDV draws from it
    # SDV takes no pandas text dtypes: it is handed what pandas.read_csv gives.
    plain = df.astype({name: object for name in df if not pd.api.types.is_numeric_dtype(df[name])})
    synth = SdvSynthesizer(SdvMetadata.load_from_dict(metadata.to_sdv()), enable_gpu=False, **settings)
    synth.fit({"table": plain})
    return lambda n: synth.sample(n)["table"]


ENGINES = {"ours": fit_ours, "sdv": fit_sdv, "sdv-plain": fit_sdv_plain}


def measure(engine: str, df: pd.DataFrame, metadata: Metadata, settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Fit, draw as many rows as were learnt, and compare."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    # Importing an engine takes seconds that no second fit will see.
    _fit(engine, df.head(200), metadata, {**settings, "epochs": 1}, seed)
    _, first, _ = _fit(engine, df, metadata, {**settings, "epochs": 1}, seed)
    draw, seconds, cpu_seconds = _fit(engine, df, metadata, settings, seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.perf_counter()
    rows = draw(len(df))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "prepare_seconds": first - (seconds - first) / max(1, settings["epochs"] - 1),
        "sample_seconds": time.perf_counter() - begun,
        "peak_mib": peak,
        "shape": shape_error(df, rows, metadata),
        "trend": trend_error(df, rows, metadata),
    }


def _fit(
    engine: str, df: pd.DataFrame, metadata: Metadata, settings: dict[str, Any], seed: int
) -> tuple[Draw, float, float]:
    """Return what draws rows, the seconds of the fit, and its CPU seconds, children's included."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    draw = ENGINES[engine](df, metadata, settings, seed)
    if engine != "ours":  # children count once they have ended
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)
    return draw, time.perf_counter() - wall, _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def apart(*arguments: Any) -> dict[str, float]:
    """:func:`measure` in a process of its own, whose memory no other fit has grown."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def summary(rounds: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the median of every figure, an engine each."""
    return {
        engine: {figure: statistics.median(one[figure] for one in found) for figure in found[0]}
        for engine, found in rounds.items()
        if found
    }


def markdown(result: dict[str, Any]) -> str:
    """Return the results as a page."""
    settings = ", ".join(f"{name} {value}" for name, value in result["settings"].items())
    lines = [
        f"Beside SDV {result['versions']['sdv']}: {settings}; medians of {result['repeats']} rounds in turn; "
        f"torch {result['versions']['torch']}, one thread.",
        "",
        "| table (rows x columns) | engine | fit, s | fit, CPU s | preparing, s | sample, s | peak, MiB | Shape, % | Trend, % |",
        "|" + " --- |" * 9,
    ]
    for name, table in result["tables"].items():
        size = f"{name} {table['rows']:,} x {table['columns']}"
        for engine, figures in table["medians"].items():
            cells = [figures[f"{name}seconds"] for name in ("", "cpu_", "prepare_", "sample_")]
            numbers = " | ".join(f"{cell:.1f}" for cell in cells) + f" | {figures['peak_mib']:.0f}"
            lines.append(f"| {size} | {engine} | {numbers} | {figures['shape']:.2f} | {figures['trend']:.2f} |")
        floor = table["floor"]
        lines.append(f"| {size} | floor | | | | | | {floor['shape']:.2f} | {floor['trend']:.2f} |")
    lines.append("")
    for name, table in result["tables"].items():
        for engine, ratios in table["ratios"].items():
            lines.append(
                f"- {name}: {engine} takes {ratios['seconds']:.1f} times our seconds ({ratios['cpu_seconds']:.1f} times "
                f"our CPU seconds, {ratios['prepare_seconds']:.1f} times our preparing) and {ratios['peak_mib']:.1f} times our peak; our Shape error is {ratios['shape']:.2f} of its, our Trend error {ratios['trend']:.2f}."
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--tables", default="adult,shoppers", help="which, with commas")
    parser.add_argument("--engines", default="ours,sdv", help=f"which of {', '.join(ENGINES)}, with commas")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3, help="rounds, each with one fit of every engine")
    parser.add_argument("--rows", type=int, help="use the first rows only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", type=Path, help="write the page here")
    arguments = parser.parse_args()
    names, engines = arguments.tables.split(","), arguments.engines.split(",")
    unknown = [name for name in names if name not in TABLES] + [name for name in engines if name not in ENGINES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    settings = {
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "compress_dims": (128, 128),
        "decompress_dims": (128, 128),
        "embedding_dim": 128,
    }
    result: dict[str, Any] = {
        "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
        "repeats": arguments.repeats,
        "seed": arguments.seed,
        "versions": {name: version(name) for name in ("sdv", "torch", "pandas", "numpy")},
        "machine": {"python": platform.python_version(), "cores": os.cpu_count()},
        "tables": {},
    }
    for name in names:
        file, described = TABLES[name]
        metadata = Metadata.of(described)
        df = read_table(arguments.data / file, metadata).head(arguments.rows)
        rounds: dict[str, list[dict[str, float]]] = {engine: [] for engine in engines}
        for i in range(arguments.repeats):
            for engine in engines:
                figures = apart(engine, df, metadata, settings, arguments.seed + i)
                rounds[engine].append(figures)
                told = ", ".join(f"{figure} {value:.2f}" for figure, value in figures.items())
                told += f", load {os.getloadavg()[0]:.1f}"
                print(f"{name}, round {i + 1} of {arguments.repeats}, {engine}: {told}", file=sys.stderr, flush=True)
        medians = summary(rounds)
        again = df.sample(len(df), replace=True, random_state=arguments.seed)
        ratios = {
            engine: {
                figure: medians[engine][figure] / medians["ours"][figure]
                for figure in ("seconds", "cpu_seconds", "prepare_seconds", "peak_mib")
            }
            | {figure: medians["ours"][figure] / medians[engine][figure] for figure in ("shape", "trend")}
            for engine in engines
            if engine != "ours" and "ours" in medians
        }
        result["tables"][name] = {
            "rows": len(df),
            "columns": df.shape[1],
            "rounds": rounds,
            "medians": medians,
            "floor": {"shape": shape_error(df, again, metadata), "trend": trend_error(df, again, metadata)},
            "ratios": ratios,
        }
        # A long run that is cut short keeps the tables that were finished.
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        if arguments.markdown:
            arguments.markdown.write_text(markdown(result), encoding="utf-8")
    print(markdown(result))


if __name__ == "__main__":
    main()
