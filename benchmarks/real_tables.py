"""The real tables of the benchmarks: files, what each column is, and the split into training and test rows.

It knows the public tables by name and reads them from a folder; it must not know synthesizers or figures.

Adult comes with its own test file. Every other table is split 90/10 by a seeded shuffle, so that another seed is another
split. A column that no tuple below names is a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from clover_tvae import Metadata
from clover_tvae.errors import ColumnsMismatchError, Problem
from clover_tvae.tables import read_table

__all__ = ["TABLES", "Parts", "RealTable", "load"]

_SPLIT_SEED = 100  # added to the run's seed, so that the split and the fit draw from different sequences


@dataclass(frozen=True)
class RealTable:
    """One public table.

    Args:
        file: The CSV file, with a header and empty missing cells.
        target: The column that downstream models predict; one of ``categorical``.
        categorical: The columns of categories.
        test_file: A file of test rows; ``None`` splits ``file``.
        dates: Columns of dates, with their format.
        identifiers: Columns that identify a row: declared as such, so neither learnt nor compared.
        dropped: Columns taken off before anything else.
    """

    file: str
    target: str
    categorical: tuple[str, ...]
    test_file: str | None = None
    dates: Mapping[str, str] = field(default_factory=dict)
    identifiers: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def metadata(self, path: Path) -> Metadata:
        """Return what each column of the file is.

        Raises:
            ColumnsMismatchError: The file lacks columns that are named here.
        """
        header = list(read_table(path).columns)
        named = [*self.categorical, *self.dates, *self.identifiers]
        problems = [
            Problem(path.name, f"column {name!r} is missing; is this the UCI or Kaggle file?", ColumnsMismatchError)
            for name in [*named, *self.dropped]
            if name not in header
        ]
        if problems:
            raise ColumnsMismatchError.of(problems)
        return Metadata.of(
            {
                "continuous": [name for name in header if name not in named and name not in self.dropped],
                "categorical": list(self.categorical),
                "datetime": [{"name": name, "format": written} for name, written in self.dates.items()],
                "id": list(self.identifiers),
                "variable_to_predict": self.target,
            }
        )


@dataclass(frozen=True)
class Parts:
    """A table split: ``train`` is learnt, ``test`` is never seen."""

    train: pd.DataFrame
    test: pd.DataFrame
    metadata: Metadata
    target: str


TABLES: dict[str, RealTable] = {
    "adult": RealTable(
        "adult_train.csv",
        "income",
        (
            "workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country",
            "income",
        ),
        test_file="adult_test.csv",
    ),
    "default": RealTable(
        "default_credit.csv",
        "default payment next month",
        (
            "SEX", "EDUCATION", "MARRIAGE", "PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6",
            "default payment next month",
        ),
    ),
    "shoppers": RealTable(
        "online_shoppers.csv",
        "Revenue",
        ("OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend", "Month", "Revenue"),
    ),
    "magic": RealTable("magic04.csv", "class", ("class",)),
    "hr": RealTable(
        "ibm_hr_attrition.csv",
        "Attrition",
        (
            "Attrition", "BusinessTravel", "Department", "EducationField", "Gender", "JobRole", "MaritalStatus",
            "Over18", "OverTime",
        ),
        identifiers=("EmployeeNumber",),
    ),
    "support2": RealTable(
        "support2.csv",
        "hospdead",
        (
            "sex", "dzgroup", "dzclass", "income", "race", "ca", "dnr", "sfdm2", "death", "hospdead", "diabetes",
            "dementia",
        ),
        dropped=("sno",),
    ),
    "employees": RealTable(
        "employee_salaries.csv",
        "gender",
        ("gender", "department", "department_name", "division", "assignment_category", "employee_position_title"),
        dates={"date_first_hired": "%Y-%m-%d"},
    ),
}  # fmt: skip


def load(folder: Path, name: str, seed: int, n_rows: int | None = None) -> Parts:
    """Read a table and split it.

    Args:
        folder: Where the files are.
        name: A key of ``TABLES``.
        seed: Of the shuffle.
        n_rows: Keep so many rows of each file, drawn by the seed; ``None`` keeps all.

    Raises:
        TableFileError: A file is missing or broken.
        ColumnsMismatchError: A file lacks columns.
    """
    table = TABLES[name]
    metadata = table.metadata(folder / table.file)
    rng = np.random.default_rng(_SPLIT_SEED + seed)

    def read(file: str) -> pd.DataFrame:
        df = read_table(folder / file, metadata).drop(columns=list(table.dropped))
        if n_rows is not None and n_rows < len(df):
            df = df.iloc[np.sort(rng.permutation(len(df))[:n_rows])].reset_index(drop=True)
        return df

    df = read(table.file)
    if table.test_file is not None:
        return Parts(df, read(table.test_file), metadata, table.target)
    shuffled = rng.permutation(len(df))
    n_test = len(df) // 10
    train, test = (df.iloc[np.sort(rows)].reset_index(drop=True) for rows in (shuffled[n_test:], shuffled[:n_test]))
    return Parts(train, test, metadata, table.target)
