"""How cost grows with a table: CPU seconds of an epoch by rows, of a step and of drawing by columns, with exponents.

    python benchmarks/growth.py [--rows 10000 30000 100000 300000] [--columns 10 30 100 300] [--svg growth.svg]

The tables are made, of numbers, categories of 3 to 20 values and dates, all of five common causes. Each is learnt on one thread
in batches of 1,024 rows, by the networks that the default plan gives 10,000 rows. An exponent is the slope of the logarithm of
the cost on that of the size: 1 is linear. The last one is between the two largest sizes, where fixed costs hide less of it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from clover_tvae import Metadata
from clover_tvae.backends.sizing import plan_training
from clover_tvae.encoded import EncodedTable
from clover_tvae.model.build import build_vae
from clover_tvae.model.devices import one_thread, torch_generator
from clover_tvae.model.vae import table_tensors
from clover_tvae.parameters import Parameters
from clover_tvae.report.svg import AXIS, GRID, SERIES, Chart
from clover_tvae.sampling import Sampler
from clover_tvae.training import Trainer
from clover_tvae.transforms import TableTransform

__all__ = ["Growth", "Learner", "chart", "main", "measured"]

_BATCH, _STEPS, _DRAWN, _COLUMNS = 1_024, 10, 10_000, 15


class Growth(NamedTuple):
    """CPU seconds of one thing by size, and how fast they grow over all sizes or the last ones."""

    what: str
    sizes: Sequence[int]
    seconds: Sequence[float]

    def exponent(self, n_last: int = 0) -> float:
        return float(np.polyfit(np.log(self.sizes[-n_last:]), np.log(self.seconds[-n_last:]), 1)[0])


class Learner:
    """A made table, encoded, and an untrained network for it."""

    def __init__(self, n_rows: int, n_columns: int) -> None:
        rng = np.random.default_rng(0)
        causes = rng.normal(size=(n_rows, 5)) @ rng.normal(size=(5, n_columns)) + rng.normal(size=(n_rows, n_columns))
        columns: dict[str, object] = {}
        kinds: dict[str, list[str]] = {"continuous": [], "categorical": [], "datetime": []}
        for i, x in enumerate(causes.T):
            kind, n_values = list(kinds)[i % 3], 3 + i % 18
            kinds[kind].append(name := f"{kind} {i}")
            columns[name] = np.round(x, 2)
            if kind == "categorical":
                place = np.digitize(x, np.quantile(x, np.arange(1, n_values) / n_values))
                columns[name] = np.array([f"value {j}" for j in range(n_values)], dtype=object)[place]
            elif kind == "datetime":
                columns[name] = np.datetime64("2020-01-01") + np.round(200 * x).astype("timedelta64[D]")
        df = pd.DataFrame(columns)
        self.transform = TableTransform.fit(df, Metadata.of(kinds), rng=rng, **Parameters().guards)
        table, layout = self.transform.encode(df, rng, "fold"), self.transform.layout
        plan = plan_training(Parameters(batch_size=_BATCH), 10_000, layout.n_columns, n_choices=layout.n_choices)
        self.vae = build_vae(plan.model, layout, torch_generator(np.random.SeedSequence(0)), table.choices)
        self.tensors = table_tensors(table, layout)
        once = replace(plan.training, epochs=1, validation_fraction=0.0, patience=None, shards=1)
        self.trainer, self.drawn = Trainer(once, verbose=False), table

    def epoch(self) -> None:
        self.trainer.fit(self.vae, self.tensors, seed=1)

    def draw(self, n_rows: int) -> None:
        blocks = Sampler(self.vae, self.transform.translate, 1).blocks(n_rows, np.random.SeedSequence(1))
        self.drawn = EncodedTable.concatenate(list(blocks))


def measured(
    sizes: Sequence[int], learner: Callable[[int], Learner], acts: Mapping[str, Callable[[Learner, int], None]]
) -> list[Growth]:
    """Return the CPU seconds of each act by size, the less of two turns: what else the machine does only adds to them."""
    found: dict[str, list[float]] = {what: [] for what in acts}
    for size in sizes:
        made = learner(size)
        for what, act in acts.items():
            marks = [time.process_time()]
            for _ in range(2):
                act(made, size)
                marks.append(time.process_time())
            found[what].append(float(np.diff(marks).min()))
    return [Growth(what, sizes, seconds) for what, seconds in found.items()]


def chart(lines: Sequence[Growth], title: str) -> Chart:
    """Return costs by size, each as a multiple of its first, on two logarithmic axes; the dashes are linear."""
    left, right, top, bottom = 40.0, 408.0, 20.0 + 14 * len(lines), 256.0
    sizes, picture = lines[0].sizes, Chart(420, 280, title, "Both axes are logarithmic.")
    across = (right - left) / math.log(sizes[-1] / sizes[0])
    up = (bottom - top) / math.log(max(sizes[-1] / sizes[0], *(max(line.seconds) / line.seconds[0] for line in lines)))
    for factor in (1, 10):
        y = bottom - up * math.log(factor)
        picture.path("M", left, y, "H", right, stroke=GRID)
        picture.text(left - 6, y + 3, f"x {factor}", "end")
    for size in sizes:
        picture.text(
            left + across * math.log(size / sizes[0]), 272, f"{size:,}", "middle" if size < sizes[-1] else "end"
        )
    linear = bottom - up * math.log(sizes[-1] / sizes[0])
    picture.path("M", left, bottom, "L", right, linear, stroke=AXIS, stroke_dasharray="4 4")
    for i, line in enumerate(lines):
        xs, ys = (np.log(np.divide(values, values[0])) for values in (line.sizes, line.seconds))
        points = [p for x, y in zip(xs, ys, strict=True) for p in ("L", left + across * x, bottom - up * y)]
        picture.path("M", *points[1:], stroke=SERIES[i], stroke_width=2)
        picture.text(left, 14 + 14 * i, f"{line.what}: exponent {line.exponent():.2f}", fill=SERIES[i])
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000])
    parser.add_argument("--columns", type=int, nargs="+", default=[10, 30, 100, 300])
    parser.add_argument("--svg", type=Path, default=Path(__file__).with_suffix(".svg"))
    options = parser.parse_args()
    picture = Chart(860, 280, "What a table costs by its rows and by its columns")
    with one_thread():
        by_columns = {
            f"{_STEPS} steps of {_BATCH:,} rows": lambda made, _: made.epoch(),
            f"drawing {_DRAWN:,} rows": lambda made, _: made.draw(_DRAWN),
            f"decoding {_DRAWN:,} rows": lambda made, _: made.transform.decode(made.drawn),
        }
        by_rows = {"an epoch": lambda made, _: made.epoch(), "drawing as many rows": lambda made, n: made.draw(n)}
        columns = measured(options.columns, lambda n: Learner(_BATCH * _STEPS, n), by_columns)
        rows = measured(options.rows, lambda n: Learner(n, _COLUMNS), by_rows)
    for place, of, lines in ((0, "columns", columns), (440, f"rows of {_COLUMNS} columns", rows)):
        print(f"\n| CPU s by {of} | {' | '.join(f'{size:,}' for size in lines[0].sizes)} | exponent | the last |")
        print(f"| --- |{' --- |' * (len(lines[0].sizes) + 2)}")
        for line in lines:
            seconds = " | ".join(f"{x:.2g}" if x < 10 else f"{x:.0f}" for x in line.seconds)
            print(f"| {line.what} | {seconds} | {line.exponent():.2f} | {line.exponent(2):.2f} |")
        picture.place(chart(lines, f"CPU seconds by {of}"), place, 0, 420)
    picture.save(options.svg)


if __name__ == "__main__":
    main()
