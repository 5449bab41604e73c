"""The table of a job, read once: split, checked, and in the hands of the synthesizer that is to learn it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clover_tvae.jobs.job import Job, JobTable
from clover_tvae.jobs.spec import DatasetSpec
from clover_tvae.metadata import Metadata
from clover_tvae.tables import read_table
from clover_tvae.workflows.datasets import builtin_table
from clover_tvae.workflows.split import split_holdout

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_data", "read_job_table", "with_holdout"]


def read_job_table(job: Job, learnt: Mapping[str, Any]) -> JobTable:
    """Read the table of ``job``, all but a file of held-out rows.

    Raises:
        UserError: The table does not fit its metadata, or cannot be learnt.
    """
    from clover_tvae.synthesizer import TVAESynthesizer

    df = read_data(job)
    metadata = Metadata.infer(df) if job.metadata is None else job.metadata
    train, holdout = df, None
    if job.holdout_fraction is not None:
        metadata.validate(df)
        train, holdout = split_holdout(df, job.holdout_fraction, job.spec.synthesizer.random_state or 0)
    synth = TVAESynthesizer(train, metadata, verbose=False, **job.spec.synthesizer.given()).prepare()
    return JobTable(train, holdout, metadata, synth, learnt)


def with_holdout(table: JobTable, job: Job) -> JobTable:
    """Return the table with the held-out rows that ``job`` names by a file, if it does.

    Raises:
        UserError: They do not fit the metadata.
    """
    if job.holdout_path is None:
        return table
    holdout = read_table(job.holdout_path, metadata=table.metadata, missing=job.spec.missing)
    table.metadata.validate(holdout)
    return replace(table, holdout=holdout)


def read_data(job: Job) -> pd.DataFrame:
    """Return the rows that the key ``data`` of a job names.

    Raises:
        UserError: They cannot be read as the metadata describe them.
    """
    if isinstance(job.spec.data, DatasetSpec):
        return builtin_table(job.spec.data.dataset)
    assert job.data_path is not None, "load_jobs lets no job train without data"
    return read_table(job.data_path, metadata=job.metadata, missing=job.spec.missing)
