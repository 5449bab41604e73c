"""YAML jobs: read strictly, checked whole, planned, and run; run again, they cost nothing.

``read`` and ``check`` make a :class:`Job` of each job of a file, ``plan`` says what there is to do, ``run`` does it.
"""

from __future__ import annotations

from clover_tvae.jobs.check import load_jobs
from clover_tvae.jobs.job import Job
from clover_tvae.jobs.plan import Plan, plan_job
from clover_tvae.jobs.result import JobError, JobResult, exit_code, summary
from clover_tvae.jobs.run import run_job, run_jobs
from clover_tvae.jobs.spec import JobSpec, SampleSpec, job_schema

__all__ = [
    "Job", "JobError", "JobResult", "JobSpec", "Plan", "SampleSpec", "exit_code", "job_schema", "load_jobs", "plan_job", "run_job",
    "run_jobs", "summary",
]  # fmt: skip
