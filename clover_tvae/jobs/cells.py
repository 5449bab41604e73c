"""What can only be told by reading a job's tables: whether the cells are what the metadata says, and whether some row could
meet each condition.

This module knows tables, metadata and transforms. It knows no job file, and trains nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from clover_tvae.errors import UserError
from clover_tvae.jobs.datasets import builtin_table
from clover_tvae.jobs.spec import DatasetSpec
from clover_tvae.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.jobs.loader import Job
    from clover_tvae.metadata import Metadata

__all__ = ["cell_problems", "holdout_table", "table_and_metadata"]

Found = tuple[tuple[str | int, ...], str]


def table_and_metadata(job: Job) -> tuple[pd.DataFrame, Metadata]:
    """Return the table that a job learns, and what each column of it is.

    Raises:
        UserError: The table cannot be read as the metadata describe it, or no metadata can be inferred.
    """
    from clover_tvae.metadata import Metadata

    metadata = job.metadata()
    if isinstance(job.spec.data, DatasetSpec):
        df = builtin_table(job.spec.data.dataset)
    else:
        path = job.data_path
        assert path is not None, "load_jobs lets no job train without data"
        df = read_table(path, metadata=metadata, missing=job.spec.missing)
    return df, Metadata.infer(df) if metadata is None else metadata


def holdout_table(job: Job, metadata: Metadata) -> pd.DataFrame | None:
    """Return the held-out rows that a job names by a file; ``None`` where it names none.

    Raises:
        UserError: The table cannot be read, or does not fit the metadata.
    """
    if (path := job.holdout_path) is None:
        return None
    holdout = read_table(path, metadata=metadata, missing=job.spec.missing)
    metadata.validate(holdout)
    return holdout


def cell_problems(job: Job) -> list[Found]:
    """Return every problem of a job's tables, as the path of a key in the job and a message without any cell.

    Nothing is found where the job has no table, or it is not there: then its generator is used.
    """
    spec = job.spec
    if spec.data is None or ((path := job.data_path) is not None and not path.is_file()):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the job tells them when it reads the table
        return list(_found(job))


def _found(job: Job) -> Iterator[Found]:
    try:
        df, metadata = table_and_metadata(job)
        metadata.validate(df)
    except UserError as error:
        for problem in error.problems:
            yield ("data",), f"data: {problem}"
        return
    yield from _holdout_problems(job, metadata)
    yield from _condition_problems(job, df, metadata)


def _holdout_problems(job: Job, metadata: Metadata) -> Iterator[Found]:
    try:
        holdout_table(job, metadata)
    except UserError as error:
        for problem in error.problems:
            yield ("holdout",), f"holdout: {problem}"


def _condition_problems(job: Job, df: pd.DataFrame, metadata: Metadata) -> Iterator[Found]:
    from clover_tvae.transforms import TableTransform

    asked = [(index, sample.parsed_conditions()) for index, sample in enumerate(job.spec.sample)]
    if not any(conditions for _, conditions in asked) or job.spec.synthesizer.backend == "sdv":
        return
    try:
        transform = TableTransform.fit(df, metadata, copies=False, rng=np.random.default_rng(0))
    except UserError as error:
        for problem in error.problems:
            yield ("data",), f"data: {problem}"
        return
    for index, conditions in asked:
        for column, condition in conditions.items():
            try:
                transform.allow({column: condition})
            except UserError as error:
                for problem in error.problems:
                    yield ("sample", index, "conditions", column), f"conditions: {problem}"
