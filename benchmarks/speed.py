"""Where the time goes: CPU seconds of each phase of a job, by table and by precision of the matrix products.

    python benchmarks/speed.py --data FOLDER [adult default support2 wide] [--steps 60] [--rows 8192]

The phases are timed one by one on this thread, with the sizes of the default plan: reading the CSV file, inferring its
metadata, finding relations, fitting the transforms, encoding, training steps (milliseconds each; the two precisions by turns in one process, since a
machine that is busy for a while then slows down both), fitting the prior, drawing, decoding, writing CSV, and the report page with
all its figures. ``wide`` is a made table of 3,000 rows and 300 columns. Nothing of what was learnt is judged here: see ``fidelity.py``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from real_tables import TABLES

from clover_tvae import Metadata
from clover_tvae.backends.sizing import plan_training
from clover_tvae.encoded import EncodedTable
from clover_tvae.model.build import build_vae
from clover_tvae.model.devices import one_thread, torch_generator
from clover_tvae.model.vae import table_tensors
from clover_tvae.parameters import Parameters
from clover_tvae.report import write_report
from clover_tvae.sampling import Sampler
from clover_tvae.tables import read_table, write_table
from clover_tvae.training import Trainer
from clover_tvae.transforms import TableTransform

__all__ = ["main", "profile"]

PRECISIONS = ("float32", "bfloat16")
_TURNS = 3


def wide(n_rows: int = 3_000, n_columns: int = 300) -> tuple[pd.DataFrame, Metadata]:
    """Return a made table: half numbers of five common causes, half categories cut from such numbers."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(n_rows, 5)) @ rng.normal(size=(5, n_columns)) + rng.normal(size=(n_rows, n_columns))
    names = [f"c{i}" for i in range(n_columns)]
    df = pd.DataFrame(np.round(numbers, 2), columns=names)
    for name in names[::2]:
        df[name] = np.array(["low", "middle", "high", "top"])[np.digitize(df[name], [-2, 0, 2])]
    return df, Metadata.of({"continuous": names[1::2], "categorical": names[::2]})


def profile(path: Path, metadata: Metadata, *, n_steps: int = 60, n_rows: int = 8_192) -> dict[str, float]:
    """Return CPU seconds of each phase, milliseconds of a step, and rows drawn in a CPU second."""
    found: dict[str, float] = {}

    @contextmanager
    def timed(phase: str) -> Iterator[None]:
        started = time.process_time()
        yield
        found[phase] = time.process_time() - started

    with timed("read, s"):
        df = read_table(path, metadata)
    with timed("infer, s"):
        Metadata.infer(df)
    with timed("relations, s"):
        metadata.with_relations(df)
    rng, parameters = np.random.default_rng(0), Parameters()
    with timed("transforms, s"):
        transform = TableTransform.fit(df, metadata, numbers="rank", copies=True, rng=rng, **parameters.guards)
    with timed("encode, s"):
        table = transform.encode(df, rng, "fold")
    layout = transform.layout
    plan = plan_training(parameters, len(df), layout.n_columns, n_choices=layout.n_choices)
    vae = build_vae(plan.model, layout, torch_generator(np.random.SeedSequence(0)), table.choices)
    tensors = table_tensors(table, layout)
    # Validation and the clock are not a step's: no row is held out, and one epoch is as long as the steps asked for.
    rows = min(len(df), n_steps * plan.training.batch_rows)
    config = replace(plan.training, epochs=1, validation_fraction=0.0, patience=None, shards=1, rows_an_epoch=rows)
    trainer, sampler = Trainer(config, verbose=False), Sampler(vae, transform.translate, 1)

    def step() -> float:
        started = time.process_time()
        trainer.fit(vae, tensors, seed=1)
        return 1e3 * (time.process_time() - started) / -(-rows // config.batch_rows)

    def draw() -> float:
        started = time.process_time()
        drawn.append(
            EncodedTable.concatenate(list(sampler.blocks(n_rows, np.random.SeedSequence(1), steps=layout.n_columns)))
        )
        return n_rows / (time.process_time() - started)

    drawn: list[EncodedTable] = []
    with one_thread():
        with timed("prior, s"):
            vae.fit_prior(tensors, torch_generator(np.random.SeedSequence(2)))
        found |= _by_turns(vae.multiply_in, {"a step, ms": step, "rows drawn a second": draw})
    with timed(f"decode {n_rows:,} rows, s"):
        synthetic = transform.decode(drawn[-1], rng=rng, n_offset=0)
    with tempfile.TemporaryDirectory() as folder, timed(f"write {n_rows:,} rows, s"):
        write_table(synthetic, Path(folder) / "synthetic.csv")
    with tempfile.TemporaryDirectory() as folder, timed("report, s"):
        write_report(Path(folder) / "report.html", df[list(synthetic)], synthetic.head(len(df)), metadata=metadata)
    return found


def _by_turns(multiply_in: Callable[[str], None], measures: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the median of each measure in each precision; the first turn warms up."""
    found: dict[str, list[float]] = {}
    for turn in range(_TURNS + 1):
        for precision in PRECISIONS:
            multiply_in(precision)
            for name, measure in measures.items():
                value = measure()
                if turn:
                    found.setdefault(f"{name} ({precision})", []).append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=["adult", "default", "support2", "wide"])
    parser.add_argument("--data", type=Path, help="the folder of the public tables")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rows", type=int, default=8_192, help="rows to draw")
    options = parser.parse_args()
    columns = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.tables:
            if name == "wide":
                df, metadata = wide()
                path = Path(folder) / "wide.csv"
                write_table(df, path)
            else:
                path = options.data / TABLES[name].file
                metadata = TABLES[name].metadata(path)
            columns[name] = profile(path, metadata, n_steps=options.steps, n_rows=options.rows)
    print(f"| phase | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for phase in next(iter(columns.values())):
        figures = (column[phase] for column in columns.values())
        print(f"| {phase} | {' | '.join(f'{x:,.2f}' if x < 100 else f'{x:,.0f}' for x in figures)} |")


if __name__ == "__main__":
    main()
