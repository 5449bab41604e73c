"""Jobs run: one at a time, or several in processes of their own.

``run_job(job)`` depends on the job and on its folder and on nothing else, so that a loop, a process pool and a cluster
are three ways to call it. It prints nothing and lets no error out: what happened is in the :class:`JobResult`.

This module knows the synthesizer's public face, tables and records. It knows no command line.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clover_tvae.errors import CloverError, ConfigError, LimitExceededError, Problem
from clover_tvae.evaluation.limits import passed_limits
from clover_tvae.jobs.cells import holdout_table, table_and_metadata
from clover_tvae.jobs.loader import Job
from clover_tvae.jobs.output import draw_to
from clover_tvae.jobs.record import (
    Plan,
    Record,
    assessment_digest,
    file_digest,
    learnt_from,
    plan_job,
    sample_digest,
)
from clover_tvae.jobs.split import split_holdout

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.metadata import Metadata
    from clover_tvae.synthesizer import TVAESynthesizer

__all__ = ["JobError", "JobResult", "OUR_BUG", "collected_warnings", "exit_code", "run_job", "run_jobs", "summary"]

#: How soon a worker notices that the process that started it has been killed.
_SECONDS_BETWEEN_LOOKS = 1.0
OUR_BUG = (
    "this is a bug of clover_tvae, not of your input; please report it with the output of the same command and --debug, "
    "after you have checked that it holds no data of yours"
)
_PACKAGE = Path(__file__).resolve().parents[1]
Status = Literal["done", "up to date", "failed", "skipped"]


@dataclass(frozen=True)
class JobError:
    """Why a job failed.

    Args:
        kind: Name of the error class.
        message: What the user is told; no value of the data.
        exit_code: What a command that runs only this job exits with.
    """

    kind: str
    message: str
    exit_code: int


@dataclass(frozen=True)
class JobResult:
    """What became of a job.

    Args:
        name: The job.
        file: Its job file.
        status: What became of it.
        reason: Why it was done, or why not.
        seconds: How long it took.
        trained: Whether a table was learnt, rather than a generator opened.
        generator: The generator file, as the job file calls it.
        sha256: The digest of the generator that was written or opened; hand it to ``load(expected_sha256=...)``.
        outputs: The files that were written.
        rows: Rows drawn, all outputs together.
        warnings: What the user should know although it went well.
        error: Why it failed, if it did.
        report: The report that was written, as the job file calls it.
    """

    name: str
    file: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    trained: bool = False
    generator: str | None = None
    sha256: str | None = None
    outputs: tuple[str, ...] = ()
    rows: int = 0
    warnings: tuple[str, ...] = ()
    error: JobError | None = None
    report: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return the result as dicts, lists, text and numbers."""
        error = None if self.error is None else dict(vars(self.error))
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        return plain | {"seconds": round(self.seconds, 3), "error": error}


def run_job(
    job: Job, *, force: bool = False, retrain: bool = False, verbose: bool = False, debug: bool = False
) -> JobResult:
    """Do what is left to do of a job.

    Args:
        job: A job, as ``load_jobs`` returns it.
        force: Draw every output again, even if it is there.
        retrain: Train again, even if the generator is there; and draw every output again.
        verbose: Show the progress of training on standard error.
        debug: Let unexpected errors out, with their traceback.

    Returns:
        The result. Errors are in it; only ``KeyboardInterrupt`` and, with ``debug``, our own bugs leave this function.
    """
    started = time.monotonic()
    noted: list[str] = []
    result = JobResult(job.name, job.file, "failed", generator=job.spec.generator_filepath)
    try:
        with collected_warnings(noted):
            for so_far in _run(job, plan_job(job, force=force, retrain=retrain), result, verbose):
                result = so_far
    except CloverError as error:
        result = replace(result, error=JobError(type(error).__name__, _relative(job, str(error)), error.exit_code))
    except MemoryError:
        text = "out of memory: draw fewer rows at once, or train with a smaller batch_size"
        result = replace(result, error=JobError("MemoryError", text, 1))
    except Exception as error:
        if debug:
            raise
        # The text of a foreign error may quote the data.
        result = replace(result, error=JobError(type(error).__name__, f"{type(error).__name__}: {OUR_BUG}", 1))
    return replace(result, seconds=time.monotonic() - started, warnings=tuple(dict.fromkeys(noted)))


def _relative(job: Job, text: str) -> str:
    return text.replace(f"{job.folder}{os.sep}", "")


@contextmanager
def collected_warnings(noted: list[str]) -> Iterator[None]:
    """Collect the text of our own warnings in ``noted``; hand all others on to the filters of the user."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", category=UserWarning, module=r"clover_tvae(\.|$)")
        try:
            yield
        finally:
            ours = [w for w in caught if Path(w.filename).is_relative_to(_PACKAGE)]
            noted += dict.fromkeys(str(w.message) for w in ours)
    for other in caught:
        if other not in ours:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


def _run(job: Job, plan: Plan, result: JobResult, verbose: bool) -> Iterator[JobResult]:
    """Do what is left to do; after each step yield what is done so far, which stays true where the next step fails."""
    record = Record.load(job) or Record()
    if plan.up_to_date:
        if breaches := _breaches(job, record):
            yield replace(result, report=job.spec.report, error=_limits_passed(breaches))
        else:
            yield replace(result, status="up to date", reason=plan.reason)
        return
    tables = _tables_of(job) if plan.train or plan.assess else None
    if plan.train:
        assert tables is not None, "what is learnt is read"
        synth, digest = _trained(job, record, tables, verbose)
    else:
        synth, digest = _opened(job, plan, record)
    result = replace(result, reason=plan.reason, trained=plan.train, sha256=digest)
    yield result
    if plan.assess:
        assert tables is not None, "what is measured against is read"
        _assess(job, synth, tables, record)
        result = replace(result, report=job.spec.report)
        yield result
    # Rows beyond a limit are not drawn: nobody can release by mistake what is not there.
    if breaches := _breaches(job, record):
        yield replace(result, error=_limits_passed(breaches))
        return
    for index in plan.samples:
        _draw(job, index, synth, record)
        sample = job.spec.sample[index]
        result = replace(result, outputs=(*result.outputs, sample.output), rows=result.rows + sample.rows)
        yield result
    yield replace(result, status="done")


@dataclass(frozen=True)
class _Tables:
    """The real rows of a job: those to learn, those held out of it, what each column is, and digests of it all."""

    train: pd.DataFrame
    holdout: pd.DataFrame | None
    metadata: Metadata
    learnt: dict[str, Any]


def _tables_of(job: Job) -> _Tables:
    # The digest is taken first: if the data changes while we learn, the next run sees it.
    learnt = learnt_from(job)
    df, metadata = table_and_metadata(job)
    if (holdout := holdout_table(job, metadata)) is not None:
        return _Tables(df, holdout, metadata, learnt)
    fraction = job.holdout_fraction
    if fraction is None:
        return _Tables(df, None, metadata, learnt)
    train, holdout = split_holdout(df, fraction, job.spec.synthesizer.random_state or 0)
    return _Tables(train, holdout, metadata, learnt)


def _assess(job: Job, synth: TVAESynthesizer, tables: _Tables, record: Record) -> None:
    """Measure the generator's rows; write the report and note the limits that are passed."""
    from clover_tvae.jobs.assessment import assess

    if record.learnt.get("holdout") != job.holdout_fraction:
        warnings.warn(
            "the generator was not trained by this job: it may have seen the rows held out here, and then privacy "
            "looks better than it is",
            UserWarning,
            stacklevel=2,
        )
    path = None if job.spec.report is None else job.path(job.spec.report)
    if path is not None:
        _make_folder(path)
    # Noted as ours before it is written: after a crash the next run may overwrite it.
    record.assessment = {"report": None}
    record.save(job)
    breaches = assess(
        synth,
        tables.train,
        tables.holdout,
        tables.metadata,
        seed=job.spec.synthesizer.random_state or 0,
        limits=job.limits(),
        report=path,
        title=f"{job.name}: synthetic data report",
    )
    record.assessment = {
        "asked": assessment_digest(job),
        "generator": record.generator,
        "report": None if path is None else file_digest(path),
        "breaches": breaches,
    }
    record.save(job)


def _breaches(job: Job, record: Record) -> list[str]:
    """Return the limits that were passed the last time the job was measured."""
    return list(record.assessment.get("breaches") or ()) if job.spec.assessed else []


def _limits_passed(breaches: Sequence[str]) -> JobError:
    error = LimitExceededError(passed_limits(breaches))
    return JobError(type(error).__name__, str(error), error.exit_code)


def _trained(job: Job, record: Record, tables: _Tables, verbose: bool) -> tuple[TVAESynthesizer, str | None]:
    from clover_tvae.synthesizer import TVAESynthesizer

    learnt = tables.learnt
    synth = TVAESynthesizer(tables.train, tables.metadata, verbose=verbose, **job.spec.synthesizer.parameters()).fit()
    digest = None
    record.learnt, record.generator, record.outputs = learnt, None, _forgotten(record)
    if (path := job.generator) is not None:
        _make_folder(path)
        digest = synth.save(path)
        record.generator = file_digest(path)
    record.save(job)
    return synth, digest


def _forgotten(record: Record) -> dict[str, dict[str, Any]]:
    """Return the outputs as still ours, but drawn from a generator that is gone."""
    return {path: {**entry, "generator": "replaced"} for path, entry in record.outputs.items()}


def _opened(job: Job, plan: Plan, record: Record) -> tuple[TVAESynthesizer, str | None]:
    from clover_tvae.synthesizer import TVAESynthesizer

    path = job.generator
    assert path is not None, "a plan without training has a generator"
    parameters = job.spec.synthesizer.parameters()
    options = {key: parameters[key] for key in ("device", "trust_pickle") if key in parameters}
    if plan.check_data:
        df, metadata = table_and_metadata(job)
        synth = TVAESynthesizer(df, metadata, generator_filepath=path, verbose=False, **options)
    else:
        synth = TVAESynthesizer.load(path, **options)
    digest = file_digest(path)
    if record.generator != digest:
        record.learnt, record.generator = {}, digest
    record.save(job)
    return synth, synth.card().get("sha256")


def _draw(job: Job, index: int, synth: TVAESynthesizer, record: Record) -> None:
    sample = job.spec.sample[index]
    path = job.path(sample.output)
    _make_folder(path)
    entry = {"sample": sample_digest(job, sample), "generator": record.generator, "sha256": None}
    # Noted as ours before it is written: after a crash the next run may overwrite it.
    record.outputs[sample.output] = entry
    record.save(job)
    draw_to(
        synth,
        sample.rows,
        path,
        seed=_seed(job, index),
        conditions=sample.parsed_conditions(),
        decode=sample.decode or job.spec.synthesizer.decode,
        missing=sample.missing,
    )
    entry["sha256"] = file_digest(path)
    record.save(job)


def _seed(job: Job, index: int) -> int | None:
    """Return the seed of a sample: its own, else one for each sample out of the job's ``random_state``."""
    seed, state = job.spec.sample[index].seed, job.spec.synthesizer.random_state
    if seed is not None or state is None:
        return seed
    return int(np.random.SeedSequence([state, index]).generate_state(1)[0])


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(Problem(path.parent.name, f"the folder cannot be made ({error.strerror})")) from None


def run_jobs(
    jobs: Sequence[Job],
    *,
    force: bool = False,
    retrain: bool = False,
    keep_going: bool = False,
    workers: int = 1,
    verbose: bool = False,
    debug: bool = False,
    on_start: Callable[[Job], object] = lambda job: None,
    on_done: Callable[[JobResult], object] = lambda result: None,
) -> list[JobResult]:
    """Run jobs, one after another or in processes.

    Args:
        jobs: The jobs.
        force: See :func:`run_job`.
        retrain: See :func:`run_job`.
        keep_going: After a failure go on with the other jobs, rather than skip them.
        workers: Processes; 1 runs the jobs in this one.
        verbose: Show the progress of training; only with one worker.
        debug: See :func:`run_job`.
        on_start: Called with each job that starts (with several workers: that is handed in).
        on_done: Called with each result.

    Returns:
        One result a job, in the order of ``jobs``.

    Raises:
        ConfigError: ``workers`` is not at least 1.
    """
    if workers < 1:
        raise ConfigError(Problem("workers", "expected at least 1"))
    options = {"force": force, "retrain": retrain, "debug": debug}
    if workers > 1 and len(jobs) > 1:
        return _run_in_processes(jobs, min(workers, len(jobs)), keep_going, options, on_start, on_done)
    results: list[JobResult] = []
    for job in jobs:
        if not keep_going and any(result.status == "failed" for result in results):
            result = _skipped(job)
        else:
            on_start(job)
            result = run_job(job, verbose=verbose, **options)
        results.append(result)
        on_done(result)
    return results


def _skipped(job: Job) -> JobResult:
    return JobResult(job.name, job.file, "skipped", "a job before it failed; --keep-going goes on")


def _run_in_processes(
    jobs: Sequence[Job],
    workers: int,
    keep_going: bool,
    options: dict[str, bool],
    on_start: Callable[[Job], object],
    on_done: Callable[[JobResult], object],
) -> list[JobResult]:
    # A forked copy of a process that has run torch may hang; a spawned one starts clean.
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // workers)
    results: dict[int, JobResult] = {}
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_limit_threads, initargs=(threads,))
    try:
        futures: dict[Future[JobResult], int] = {}
        for index, job in enumerate(jobs):
            on_start(job)
            futures[pool.submit(run_job, job, **options)] = index
        for future in as_completed(futures):
            index = futures[future]
            if future.cancelled():
                results[index] = _skipped(jobs[index])
            else:
                results[index] = _result_of(future, jobs[index])
            on_done(results[index])
            if results[index].status == "failed" and not keep_going:
                for other in futures:
                    other.cancel()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    pool.shutdown()
    return [results[index] for index in range(len(jobs))]


def _result_of(future: Future[JobResult], job: Job) -> JobResult:
    try:
        return future.result()
    except BrokenProcessPool:
        text = "the process of the job, or of one beside it, was killed; often memory is short: use fewer --jobs"
        return JobResult(job.name, job.file, "failed", error=JobError("BrokenProcessPool", text, 1))


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _limit_threads(n_threads: int) -> None:
    """Share the cores among the workers, before torch or a BLAS starts its threads; what the user has set stays.

    And end with the process that started this one: killed, it cannot tell its workers.
    """
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(n_threads))


def exit_code(results: Sequence[JobResult]) -> int:
    """Return 0 if no job failed, else the exit code of the first that did."""
    return next((result.error.exit_code for result in results if result.error is not None), 0)


def summary(results: Sequence[JobResult]) -> dict[str, Any]:
    """Return the results as plain data for machines.

    Example:
        >>> summary([JobResult("a", "jobs.yaml", "up to date")])["counts"]
        {'done': 0, 'up to date': 1, 'failed': 0, 'skipped': 0}
    """
    statuses = ("done", "up to date", "failed", "skipped")
    return {
        "format": "clover-tvae-summary",
        "version": 1,
        "exit_code": exit_code(results),
        "counts": {status: sum(result.status == status for result in results) for status in statuses},
        "jobs": [result.to_plain() for result in results],
    }
