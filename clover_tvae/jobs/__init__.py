"""YAML jobs: read strictly, checked whole, run again at no cost."""

from __future__ import annotations

from clover_tvae.jobs.datasets import DATASETS, builtin_table, make_employees
from clover_tvae.jobs.loader import Job, load_jobs
from clover_tvae.jobs.record import Plan, plan_job, reads_rows
from clover_tvae.jobs.run import JobError, JobResult, exit_code, run_job, run_jobs, summary
from clover_tvae.jobs.spec import JobSpec, SampleSpec, SynthesizerSpec, job_schema

__all__ = [
    "DATASETS",
    "Job",
    "JobError",
    "JobResult",
    "JobSpec",
    "Plan",
    "SampleSpec",
    "SynthesizerSpec",
    "builtin_table",
    "exit_code",
    "job_schema",
    "load_jobs",
    "make_employees",
    "plan_job",
    "reads_rows",
    "run_job",
    "run_jobs",
    "summary",
]
