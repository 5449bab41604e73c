"""How good are the synthetic rows? Real tables, defaults, every figure beside what real rows score.

    python benchmarks/fidelity.py --data FOLDER [--tables adult,magic] [--seeds 3] [--backends autoregressive,sdv]

One fit a (table, seed, backend), each in a process of its own, one after the other. As many rows are drawn as were
learnt. Every run appends one line to ``runs.jsonl`` in the output folder as it ends, and the page (``fidelity.md``) and
the summary (``fidelity.json``) are written anew: what was run is never lost, and ``--resume`` runs only what is missing.

The figures, the rows of the page (floor, bootstrap, test part) and the options are explained in ``README.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from real_tables import TABLES, Parts, load

import clover_tvae
from clover_tvae import TVAESynthesizer
from clover_tvae.evaluation import c2st, dcr, shape_error, trend_error, tstr

__all__ = ["BACKENDS", "COSTS", "FIGURES", "compare", "main", "markdown", "measure", "real_rows", "summary"]

BACKENDS: dict[str, dict[str, str]] = {
    "autoregressive": {"decoder": "autoregressive"},
    "no student": {"decoder": "autoregressive", "privacy": "none"},
    "independent": {"decoder": "independent"},
    "sdv": {"backend": "sdv"},
}
REAL = "real"  # stands where a backend's name does: the run that measures real rows
FLOOR, BOOTSTRAP, HOLDOUT = "floor", "bootstrap", "test part"

#: Key, heading, decimals.
FIGURES = (
    ("shape", "Shape, %", 2),
    ("trend_shared", "Trend (shared edges), %", 2),
    ("trend_own", "Trend (own edges), %", 2),
    ("c2st", "C2ST AUC", 3),
    ("dcr_share", "DCR share", 3),
    ("dcr_quantile", "DCR 2%, %", 2),
    ("downstream", "downstream AUC", 3),
    ("downstream_lost", "lost to real", 3),
)
COSTS = (
    ("fit_seconds", "fit, s", 1),
    ("fit_cpu_seconds", "fit, CPU s", 1),
    ("rows_per_second", "rows/s drawn", 0),
    ("rows_per_cpu_second", "rows/CPU s drawn", 0),
    ("epochs", "epochs", 0),
    ("best_epoch", "best epoch", 0),
    ("peak_mib", "peak MiB", 0),
    ("threads", "threads", 0),
    ("load_before", "load before", 1),
)
_N_HALVES = 5  # splits into halves that the floor of Shape and Trend is averaged over

Run = dict[str, Any]


# -- one run ----------------------------------------------------------------------------------------------------------


def compare(parts: Parts, synthetic: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return the figures of a synthetic table: see ``FIGURES``."""
    train, test, metadata = parts.train, parts.test, parts.metadata
    closest = dcr(train, test, synthetic, metadata, seed=seed)
    trained = _downstream(parts, synthetic, seed)
    return {
        "shape": shape_error(train, synthetic, metadata),
        "trend_shared": trend_error(train, synthetic, metadata, "shared"),
        "trend_own": trend_error(train, synthetic, metadata, "own"),
        "c2st": c2st(train, synthetic, metadata, seed=seed),
        "dcr_share": closest.share,
        "dcr_quantile": 100 * closest.quantile_share,
        "downstream": trained["synthetic"],
        "downstream_lost": trained["real"] - trained["synthetic"],
    }


def _downstream(parts: Parts, rows: pd.DataFrame, seed: int) -> dict[str, float]:
    """AUC of trees trained on ``rows``, and on the training rows; both tested on the test rows."""
    scores = tstr(parts.train, rows, parts.test, parts.target, parts.metadata, seed=seed).set_index(["model", "score"])
    return {role: float(scores.loc[("trees", "auc"), role]) for role in ("synthetic", "real")}


def real_rows(parts: Parts, seed: int) -> dict[str, dict[str, float]]:
    """Return what real rows score: the floor, a bootstrap, the test part.

    The floor is what a perfect model scores with as many rows as the training part. Its rows would be fresh rows of
    the same population, of which there are none left; two halves of the training part are fresh rows to each other.
    With n/2 rows on either side Shape and Trend err sqrt(2) times as much as with n, hence the division.
    """
    train, test, metadata = parts.train, parts.test, parts.metadata
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xF1008]))
    halves = [_halves(train, rng) for _ in range(_N_HALVES)]
    one, other = halves[0]
    closest = dcr(other, test, one, metadata, seed=seed)

    def mean_error(edges: str | None) -> float:
        errors = [
            shape_error(first, second, metadata) if edges is None else trend_error(first, second, metadata, edges)
            for first, second in halves
        ]
        return statistics.fmean(errors) / math.sqrt(2)

    again = train.iloc[rng.integers(0, len(train), len(train))].reset_index(drop=True)
    bootstrap = compare(parts, again, seed)
    floor = {
        "shape": mean_error(None),
        "trend_shared": mean_error("shared"),
        "trend_own": mean_error("own"),
        "c2st": c2st(one, other, metadata, seed=seed),
        "dcr_share": closest.share,
        "dcr_quantile": 100 * closest.quantile_share,
        "downstream": bootstrap["downstream"] + bootstrap["downstream_lost"],
        "downstream_lost": 0.0,
    }
    holdout = {
        "shape": shape_error(train, test, metadata),
        "trend_shared": trend_error(train, test, metadata, "shared"),
        "trend_own": trend_error(train, test, metadata, "own"),
        "c2st": c2st(train, test, metadata, seed=seed),
    }
    return {FLOOR: floor, BOOTSTRAP: bootstrap, HOLDOUT: holdout}


def _halves(df: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    shuffled, middle = rng.permutation(len(df)), len(df) // 2
    return df.iloc[shuffled[:middle]].reset_index(drop=True), df.iloc[shuffled[middle:]].reset_index(drop=True)


def measure(parts: Parts, seed: int, backend: str, epochs: int | None = None) -> dict[str, Any]:
    """Fit once, draw as many rows as were learnt, and compare; ``"real"`` measures real rows instead.

    Returns:
        ``figures``: a label each, with its figures; ``costs``: empty for real rows; ``stopped``: why training ended.
    """
    if backend == REAL:
        return {"figures": real_rows(parts, seed), "costs": {}, "stopped": None}
    import torch

    if backend == "sdv":
        import sdv.single_table  # noqa: F401  its import takes seconds that are no part of a fit
    load_before = os.getloadavg()[0]
    synth = TVAESynthesizer(
        parts.train, parts.metadata, random_state=seed, epochs=epochs, verbose=False, **BACKENDS[backend]
    )
    wall, cpu = time.perf_counter(), time.process_time()
    synth.fit()
    fit_wall, fit_cpu = time.perf_counter() - wall, time.process_time() - cpu
    # The peak of the fit, before evaluation adds its own. Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = synth.sample(len(parts.train))
    sample_wall, sample_cpu = time.perf_counter() - wall, time.process_time() - cpu
    training = synth.card()["training"]
    return {
        "figures": {backend: compare(parts, rows, seed)},
        "costs": {
            "fit_seconds": fit_wall,
            "fit_cpu_seconds": fit_cpu,
            "rows_per_second": len(rows) / sample_wall,
            "rows_per_cpu_second": len(rows) / sample_cpu,
            "epochs": len(synth.history),
            "best_epoch": training.get("best_epoch"),
            "peak_mib": peak,
            "threads": torch.get_num_threads(),
            "load_before": load_before,
        },
        "stopped": training.get("stopped"),
    }


def run_here(data: Path, table: str, seed: int, backend: str, settings: Mapping[str, Any]) -> Run:
    """Do one run in this process, and return its line."""
    parts = load(data, table, seed, settings["rows"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measured = measure(parts, seed, backend, settings["epochs"])
    return {
        "table": table,
        "seed": seed,
        "backend": backend,
        "settings": dict(settings),
        "rows": len(parts.train),
        "columns": parts.train.shape[1],
        "test_rows": len(parts.test),
        **measured,
        "versions": versions(),
    }


def run_apart(data: Path, table: str, seed: int, backend: str, settings: Mapping[str, Any]) -> Run:
    """Do one run in a fresh process, so that neither memory, caches nor threads are handed on."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "run.json"
        command = [sys.executable, __file__, "--data", str(data), "--one", json.dumps([table, seed, backend])]
        command += ["--settings", json.dumps(settings), "--result", str(result)]
        done = subprocess.run(command, env=_environment(settings["threads"]), stderr=subprocess.PIPE, text=True)
        if done.returncode == 0 and result.exists():
            return json.loads(result.read_text(encoding="utf-8"))
    told = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
    failed = {"table": table, "seed": seed, "backend": backend, "settings": dict(settings)}
    return {**failed, "error": told[0]}


def _environment(threads: int) -> dict[str, str]:
    """The child's environment: its threads, and the very package that this process runs."""
    package = str(Path(clover_tvae.__file__).parents[1])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {**os.environ, **limits, "PYTHONPATH": path}


def versions() -> dict[str, str]:
    """Return the versions that could move a figure."""
    found = {"python": platform.python_version(), "clover_tvae": clover_tvae.__version__}
    for name in ("torch", "sdv", "scikit-learn", "pandas", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# -- many runs --------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Return the value with every NaN as ``None``: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_runs(path: Path) -> list[Run]:
    """Return the runs kept in a file; a last line that was cut short is left out."""
    runs = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            runs.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"{path.name}: a line that is no JSON is left out", file=sys.stderr)
    return runs


def key(run: Run) -> tuple[Any, ...]:
    """Return what makes two runs the same run."""
    return (run["table"], run["seed"], run["backend"], json.dumps(run["settings"], sort_keys=True))


def append(path: Path, run: Run) -> None:
    """Add a line, and have it on the disk before the next run starts."""
    cut_short = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * cut_short + json.dumps(plain(run), allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def spread(values: Iterable[float | None]) -> dict[str, float | int | None]:
    """Return median, least and most of the values that are there."""
    there = [value for value in values if value is not None]
    if not there:
        return {"median": None, "min": None, "max": None, "n": 0}
    return {"median": statistics.median(there), "min": min(there), "max": max(there), "n": len(there)}


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Return medians and ranges over the seeds, by table and label, in the order of ``TABLES`` and ``BACKENDS``."""
    good = [run for run in runs if "error" not in run]
    tables: dict[str, Any] = {}
    for name in TABLES:
        mine = [run for run in good if run["table"] == name]
        if not mine:
            continue
        rows: dict[str, Any] = {}
        for backend in (REAL, *BACKENDS):
            of_backend = [run for run in mine if run["backend"] == backend]
            labels = dict.fromkeys(label for run in of_backend for label in run["figures"])
            for label in labels:
                figures = {
                    figure: spread(run["figures"][label].get(figure) for run in of_backend) for figure, _, _ in FIGURES
                }
                rows[label] = {"figures": figures, "seeds": sorted(run["seed"] for run in of_backend)}
            if backend != REAL and of_backend:
                rows[backend]["costs"] = {
                    cost: spread(run["costs"].get(cost) for run in of_backend) for cost, _, _ in COSTS
                }
                rows[backend]["stopped"] = [run["stopped"] for run in of_backend]
        tables[name] = {size: mine[0][size] for size in ("rows", "columns", "test_rows")} | {"results": rows}
    failed = [run for run in runs if "error" in run]
    return {
        "tables": tables,
        "failed": [{field: run[field] for field in ("table", "seed", "backend", "error")} for run in failed],
        "settings": good[-1]["settings"] if good else None,
        "versions": good[-1]["versions"] if good else versions(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def _cell(found: Mapping[str, Any], decimals: int) -> str:
    if found["median"] is None:
        return "–"
    told = f"{found['median']:,.{decimals}f}"
    least, most = (f"{found[end]:,.{decimals}f}" for end in ("min", "max"))
    return told if least == most else f"{told} ({least}..{most})"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (headings, ["---"] * len(headings), *rows)]


def markdown(result: Mapping[str, Any]) -> str:
    """Return the summary as a page: a table of figures for each real table, then the costs."""
    told = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    machine, settings = result["machine"], result["settings"] or {}
    limits = [f"{name} {settings[name]}" for name in ("epochs", "rows") if settings.get(name) is not None]
    lines = [
        f"Medians over the seeds (least..most). {'Defaults' if not limits else 'Not defaults: ' + ', '.join(limits)}; "
        f"{machine['system']} {machine['processor']}, {machine['cores']} cores; {told}.",
        "",
    ]
    costs = []
    for name, table in result["tables"].items():
        size = f"{table['rows']:,} x {table['columns']}"
        seeds = max((len(row["seeds"]) for row in table["results"].values()), default=0)
        lines += [f"### {name}: {size} learnt, {table['test_rows']:,} rows of test, {seeds} seed(s)", ""]
        rows = []
        for label, row in table["results"].items():
            rows.append([label, *(_cell(row["figures"][figure], decimals) for figure, _, decimals in FIGURES)])
            if "costs" in row:
                costs.append([name, label, *(_cell(row["costs"][cost], decimals) for cost, _, decimals in COSTS)])
        lines += [*_table(["", *(heading for _, heading, _ in FIGURES)], rows), ""]
    if costs:
        lines += ["### Costs", "", *_table(["table", "backend", *(heading for _, heading, _ in COSTS)], costs), ""]
    lines += [
        f"Failed: {run['table']}, seed {run['seed']}, {run['backend']}: {run['error']}" for run in result["failed"]
    ]
    return "\n".join(lines).rstrip() + "\n"


def _write(path: Path, text: str) -> None:
    """Replace a file at once, so that an interruption leaves the old one."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def write_summary(folder: Path, runs: Sequence[Run]) -> str:
    """Write ``fidelity.json`` and ``fidelity.md``, and return the page."""
    result = summary(runs)
    page = markdown(result)
    _write(folder / "fidelity.json", json.dumps(plain(result), indent=2, allow_nan=False) + "\n")
    _write(folder / "fidelity.md", page)
    return page


def _progress(run: Run, seconds: float) -> str:
    if "error" in run:
        return f"failed: {run['error']}"
    one = next(iter(run["figures"].values()))
    told = ", ".join(
        f"{figure} {one[figure]:.3f}" for figure in ("shape", "trend_shared", "c2st") if one[figure] is not None
    )
    return f"{told} ({seconds:.0f} s in all)"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--tables", default=",".join(TABLES), help="which, with commas")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this many")
    parser.add_argument("--backends", default=",".join(BACKENDS), help="which, with commas")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/output"), help="folder of what is written")
    parser.add_argument("--resume", action="store_true", help="keep the runs of the output folder; do the others")
    parser.add_argument("--threads", type=int, default=1, help="of every run")
    parser.add_argument("--epochs", type=int, help="overrule the defaults: to try the script")
    parser.add_argument("--rows", type=int, help="rows of each file: to try the script")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--settings", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        run = run_here(given.data, *given.one, given.settings)
        given.result.write_text(json.dumps(plain(run), allow_nan=False), encoding="utf-8")
        return 0

    names, backends = given.tables.split(","), given.backends.split(",")
    unknown = [name for name in names if name not in TABLES] + [name for name in backends if name not in BACKENDS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; tables: {', '.join(TABLES)}; backends: {', '.join(BACKENDS)}")
    if given.seeds < 1 or given.threads < 1:
        parser.error("--seeds and --threads must be at least 1")
    settings = {"epochs": given.epochs, "rows": given.rows, "threads": given.threads}
    kept = given.output / "runs.jsonl"
    runs = read_runs(kept)
    if runs and not given.resume:
        parser.error(f"{kept} holds {len(runs)} runs: add --resume to keep them, or choose another --output")
    # One page holds runs of one kind; lines of other settings, and those that failed, stay in the file alone.
    runs = [run for run in runs if run["settings"] == settings and "error" not in run]
    done = {key(run) for run in runs}
    given.output.mkdir(parents=True, exist_ok=True)
    # Seed by seed, so that an interrupted benchmark has every table once before it has any table twice.
    for seed in range(1, given.seeds + 1):
        for name in names:
            for backend in (REAL, *backends):
                if key({"table": name, "seed": seed, "backend": backend, "settings": settings}) in done:
                    continue
                started = time.perf_counter()
                run = run_apart(given.data, name, seed, backend, settings)
                append(kept, run)
                runs.append(run)
                told = _progress(run, time.perf_counter() - started)
                print(f"{name}, seed {seed}, {backend}: {told}", file=sys.stderr, flush=True)
                write_summary(given.output, runs)
    print(write_summary(given.output, runs))
    return 1 if any("error" in run for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
