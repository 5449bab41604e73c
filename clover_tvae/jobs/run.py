"""Jobs run: one at a time, or several in processes of their own.

``run_job(job)`` depends on the job and on its folder and on nothing else, so that a loop and a pool of processes are two
ways to call it. It lets no error out: what happened is in the :class:`JobResult`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from clover_tvae.errors import (
    CloverWarning,
    ConfigError,
    LimitExceededError,
    WorkerLostError,
    collected_warnings,
    memory_told,
    warn,
)
from clover_tvae.evaluation.limits import passed_limits
from clover_tvae.files import as_called, file_digest, inside
from clover_tvae.jobs.job import Job, JobTable
from clover_tvae.jobs.plan import Plan, asked_of, assessment_digest, check_stores, first_id, plan_job
from clover_tvae.jobs.record import held, let_go
from clover_tvae.jobs.result import OUR_BUG, JobError, JobResult
from clover_tvae.jobs.spec import DatabaseOutput, SampleSpec
from clover_tvae.parameters import cut_short
from clover_tvae.seeds import mixed
from clover_tvae.tables import row_digest, write_database
from clover_tvae.workflows.assessment import Drawn, assess
from clover_tvae.workflows.engines import Engine, Local, Resources, Task
from clover_tvae.workflows.output import draw_to
from clover_tvae.workflows.timed import timed

if TYPE_CHECKING:
    from clover_tvae.synthesizer import Synthesizer

_AGAIN = 0xA6A1  # sets the seeds of further tables apart from those of the rows


def run_job(
    job: Job,
    *,
    force: bool = False,
    retrain: bool = False,
    verbose: bool = False,
    debug: bool = False,
    tell: Callable[[str], object] = lambda text: None,
) -> JobResult:
    """Do what is left to do of a job.

    Args:
        force: Draw every output again, even if it is there.
        retrain: Train again, even if the generator is there; and draw every output again.
        verbose: Show the progress of training on standard error.
        debug: Let unexpected errors out, with their traceback.
        tell: Called with a line as each stage ends: what was done, and in how many seconds.

    Returns:
        The result. Errors are in it; only ``KeyboardInterrupt`` and, with ``debug``, our own bugs leave this function.
    """
    started = time.monotonic()
    noted: list[str] = []
    result = JobResult(job.name, job.file, "failed", generator=job.spec.generator_filepath)
    try:
        with collected_warnings(noted), memory_told(), held(job.record):
            plan = plan_job(job, force=force, retrain=retrain)
            for so_far in _Run(job, plan, verbose, tell).results(result):
                result = so_far
    except Exception as error:
        told = JobError.of(error)
        if debug and told.message.endswith(OUR_BUG):
            raise
        text = as_called(told.message.replace(f"{job.folder}{os.sep}", ""))
        result = replace(result, error=replace(told, message=text))
    finally:
        job.let_go()
    told_once = tuple(dict.fromkeys(as_called(text) for text in noted))
    return replace(result, seconds=time.monotonic() - started, warnings=told_once)


@dataclass(frozen=True)
class _Run:
    """One run of a job, as it was planned."""

    job: Job
    plan: Plan
    verbose: bool
    tell: Callable[[str], object]

    def results(self, result: JobResult) -> Iterator[JobResult]:
        """Do what is to do; after each step yield what is done so far, which stays true where the next step fails."""
        job, plan = self.job, self.plan
        if not (plan.train and job.spec.checkpoint):  # nobody goes on from what a run that was killed has left
            with contextlib.suppress(OSError):
                job.record.with_suffix(".checkpoint").unlink()
        if plan.up_to_date:
            if beyond := self._beyond_limits():
                yield replace(result, error=beyond, report=job.spec.report, dossier=job.spec.dossier)
            else:
                yield replace(result, status="up to date", reason=plan.reason)
            return
        check_stores(job, plan)
        table = self._table() if plan.train or plan.assess else None
        synth, digest = self._trained(table) if table is not None and plan.train else self._opened()
        result = replace(result, reason=plan.reason, trained=plan.train, sha256=digest)
        yield result
        drawn: dict[int, Drawn] = {}
        if table is not None and plan.assess:
            drawn = {index: self._drawn(index, sample, synth) for index, sample in enumerate(job.spec.sample)}
            self._assess(synth, table, list(drawn.values()))
            result = replace(result, report=job.spec.report, dossier=job.spec.dossier)
            yield result
        # Rows beyond a limit are not written, and old ones go: nobody can release by mistake what is not there.
        if beyond := self._beyond_limits():
            yield replace(result, error=beyond)
            return
        for index in plan.samples:
            sample = job.spec.sample[index]
            if (n_rows := self._write(index, sample, synth, drawn.get(index))) is None:
                continue
            result = replace(result, outputs=(*result.outputs, sample.place), rows=result.rows + n_rows)
            yield result
        yield replace(result, status="done")

    def _table(self) -> JobTable:
        """Return the table that the check has read, or read it where it did not, or where the table has changed since."""
        table = self.job.table
        if table is not None and table.learnt == self.plan.learnt:
            for text in table.warnings:
                warn(text, CloverWarning)
        else:
            table = self.job.with_holdout(self.job.read_table(self.plan.learnt))
        if dialect := str(self.job.dialect() or ""):
            self.tell(f"read as: {dialect}")
        return table

    def _trained(self, table: JobTable) -> tuple[Synthesizer, str | None]:
        text, synth, saved = self.job.spec.generator_filepath, table.synth, self.job.checkpoint
        path = synth.generator_filepath = None if text is None else self.job.target(text)
        synth.verbose = self.verbose
        if saved is not None:
            self.plan.record.save()  # its folder is not for version control
            if self.plan.anew and not saved.is_dir():
                saved.unlink(missing_ok=True)
            elif saved.exists():
                self.tell("going on from the checkpoint of an earlier run")
        if synth.metadata.relations:
            self.tell(synth.metadata.relations_told)
        with timed(f"learnt {synth.n_rows:,} rows", self.tell):
            try:
                synth.fit(checkpoint=saved, resume=saved is not None)
            except ConfigError as error:
                if saved is not None and all(one.where == "checkpoint" for one in error.problems):
                    text = f"{error}; it lies in {saved.parent.name}{os.sep}, and --retrain removes it"
                    raise ConfigError(text) from None
                raise
        card = synth.card()
        self.tell(str(card["privacy"]["meaning"]))
        if path is not None:
            self.job.copies.put(path)
        digest = None if path is None else card.get("sha256")
        self.plan.record.note_training(table.learnt, file_digest(path))
        return synth, digest

    def _opened(self) -> tuple[Synthesizer, str | None]:
        from clover_tvae.synthesizer import Synthesizer

        job, parameters = self.job, self.job.spec.synthesizer.given()
        path = job.path_of(job.spec.generator_filepath)
        options = {key: parameters[key] for key in ("device", "trust_pickle") if key in parameters}
        # The columns of the data have been compared with the metadata; whether these are the generator's is asked here.
        metadata = job.metadata if self.plan.check_data else None
        if self.plan.check_data and metadata is None:
            metadata = job.read_rows()[2]
        synth = Synthesizer(None, metadata, generator_filepath=path, verbose=False, **options)
        record, digest = self.plan.record, file_digest(path)
        if record.generator != digest:
            record.learnt, record.generator = {}, digest
        record.save()
        if cut := cut_short(card := synth.card()):
            warn(cut, CloverWarning)
        return synth, card.get("sha256")

    def _assess(self, synth: Synthesizer, table: JobTable, leaving: Sequence[Drawn]) -> None:
        """Measure the rows that are to be written; write the pages and note the limits that are passed."""
        job, record = self.job, self.plan.record
        doubt, notes = "", []
        if record.learnt.get("holdout") != job.holdout_fraction:
            doubt = "the generator was not trained by this job and may have seen the rows held out here"
            cure = "train it here (--retrain), or name a table of rows that it never saw (holdout)"
            warn(f"{doubt}, so that no limit of privacy is kept; {cure}", CloverWarning)
        elif not record.learnt:
            notes = [
                "The generator was not trained by this job, which cannot tell whether it never saw the rows held out."
            ]
            warn(notes[0], CloverWarning)
        pages = {key: job.target(text) for key, text in job.spec.pages.items()}
        asked = assessment_digest(job, table.learnt)
        record.assessment = dict.fromkeys(pages)
        record.save()  # the pages are ours before they are there
        breaches = assess(
            synth,
            table.train,
            table.holdout,
            table.metadata,
            leaving=leaving,
            doubt=doubt,
            notes=notes,
            seed=job.spec.synthesizer.random_state or 0,
            limits=job.limits,
            report=pages.get("report"),
            dossier=pages.get("dossier"),
            about=job.spec.about,
            title=f"{job.name}: synthetic data report",
            tell=self.tell,
        )
        for path in pages.values():
            job.copies.put(path)
        written = {key: file_digest(path) for key, path in pages.items()}
        record.assessment = {"asked": asked, "generator": record.generator, "breaches": breaches, **written}
        record.save()

    def _beyond_limits(self) -> JobError | None:
        """Return the error of the limits that were passed when the job was measured, and take back what it wrote before."""
        breaches = self.plan.record.assessment.get("breaches") if self.job.spec.assessed else None
        if not breaches:
            return None
        left = self._take_back()
        stands = (
            f"; rows that this job cannot call its own still stand in {', '.join(left)}: take them away" if left else ""
        )
        return JobError.of(LimitExceededError(f"{passed_limits(breaches)}{stands}"))

    def _take_back(self) -> list[str]:
        """Remove the rows that an earlier run wrote, and return the places where rows stand that are not surely its own."""
        job, outputs, left = self.job, self.plan.record.outputs, []
        for sample in job.spec.sample:
            said, written = sample.output, outputs.get(sample.place, {}).get("sha256")
            if isinstance(said, DatabaseOutput):
                left += [sample.place] if written is not None and job.database(said).table_is_there() else []
            elif job.is_there(said):
                if written is None or written != job.digest(said):
                    left.append(said)
                    continue
                job.remove(said)
                outputs.pop(sample.place)
        for place in outputs.keys() - {sample.place for sample in job.spec.sample}:  # which the job names no more
            entry = outputs.pop(place)
            if "place" in entry or "://" in place:
                left += [place] if entry["sha256"] is not None else []
            elif entry["sha256"] is not None and file_digest(path := inside(job.folder, place)) == entry["sha256"]:
                path.unlink()
        self.plan.record.save()
        return left

    def _seed(self, index: int, sample: SampleSpec) -> int:
        """Return the seed of a sample: its own, one out of the job's, that of the rows that stand, or a new one."""
        entry, state = self.plan.record.outputs.get(sample.place, {}), self.job.spec.synthesizer.random_state
        if sample.seed is not None:
            return sample.seed
        asked = asked_of(self.job, sample, self.plan.record.generator)
        if state is None and entry.get("seed") is not None and asked.items() <= entry.items():
            return int(entry["seed"])
        return mixed() if state is None else mixed(state, index)

    def _draw(
        self, sample: SampleSpec, synth: Synthesizer, seed: int, n_rows: int | None = None, first: int | None = None
    ) -> Iterator[pd.DataFrame]:
        """Draw a sample; on request of another length, or with another first identifier."""
        options: dict[str, Any] = {
            "conditions": sample.parsed_conditions(),
            "decode": sample.decode or self.job.spec.synthesizer.decode,
            "missing": sample.missing,
            "steps": sample.steps,
            "first_id": first_id(self.job, sample) if first is None else first,
        }
        return synth.sample_frames(sample.rows if n_rows is None else n_rows, random_state=seed, **options)

    def _drawn(self, index: int, sample: SampleSpec, synth: Synthesizer) -> Drawn:
        """Draw a sample to be measured; rows of a database that stand are drawn once more."""

        def rows(seed: int) -> pd.DataFrame:
            return pd.concat(self._draw(sample, synth, seed), ignore_index=True)

        seed = self._seed(index, sample)
        with timed(f"drew {sample.rows:,} rows for {sample.place}", self.tell):
            found = rows(seed)
        entry = self.plan.record.outputs.get(sample.place, {})
        if index not in self.plan.samples and entry.get("sha256") != row_digest(found):
            text = "the rows that stand there cannot be drawn again, and so not be measured; take them away"
            raise ConfigError(text, sample.place)
        decode = sample.decode or self.job.spec.synthesizer.decode or synth.decode
        return Drawn(
            sample.place, found, seed, decode, bool(sample.conditions), lambda n: rows(mixed(n, index, _AGAIN))
        )

    def _write(self, index: int, sample: SampleSpec, synth: Synthesizer, drawn: Drawn | None) -> int | None:
        """Write a sample, the rows that were measured where there are any; return how many were needed, ``None`` if all stand."""
        seed = self._seed(index, sample) if drawn is None else drawn.seed
        entry = {**asked_of(self.job, sample, self.plan.record.generator), "seed": seed, "sha256": None}

        def frames() -> Iterator[pd.DataFrame]:
            return self._draw(sample, synth, seed) if drawn is None else iter([drawn.rows])

        with timed(f"{'drew' if drawn is None else 'wrote'} {sample.place}", self.tell):
            if isinstance(sample.output, DatabaseOutput):
                n_rows = self._write_table(sample, sample.output, synth, frames, entry)
            else:
                self._note(sample, entry)  # the file is ours before it is there
                path, n_rows = self.job.target(sample.output), sample.rows
                draw_to(frames, path, dialect=self.job.dialect())
                self.job.copies.put(path)
                entry["sha256"] = file_digest(path)
        self._note(sample, entry)
        return n_rows

    def _note(self, sample: SampleSpec, entry: dict[str, Any]) -> None:
        """Note what stands in the place of a sample."""
        self.plan.record.outputs[sample.place] = entry
        self.plan.record.save()

    def _write_table(
        self,
        sample: SampleSpec,
        output: DatabaseOutput,
        synth: Synthesizer,
        frames: Callable[[], Iterator[pd.DataFrame]],
        entry: dict[str, Any],
    ) -> int | None:
        """Write a sample into a table of a database, and add to its entry; for the rest as :meth:`_write`."""
        before = self.plan.record.outputs.get(sample.place, {})
        if output.file is not None:
            self.job.target(output.file)  # makes its folder
        table, first = self.job.database(output), first_id(self.job, sample)
        entry["place"] = table.identity  # the variable may name another database next time
        appends = output.if_exists == "append"
        if not appends:  # where rows cannot be appended, those that stand are still known
            self._note(sample, entry)
        df, n_there = pd.concat(frames(), ignore_index=True), 0
        if appends and before.get("place") == table.identity and table.table_is_there():
            n_there = self._appended(sample, synth, entry["seed"], df, before)
        if n_there:
            which = "these very rows" if n_there >= len(df) else f"the first {n_there:,} of these rows"
            text = f"this job has appended {which} before, and appends none twice; another seed draws others"
            if before.get("first_id", first) != first:
                text += "; they keep identifiers that rows of a sample before this one, which has another length now, may bear too"
            warn(f"{sample.place}: {text}", CloverWarning)
        entry |= {"sha256": row_digest(df), "rows": len(df), "appended": max(n_there, len(df)), "first_id": first}
        if n_there >= len(df):
            return None
        write_database(df[n_there:], table, if_exists=output.if_exists)
        return len(df) - n_there

    def _appended(
        self, sample: SampleSpec, synth: Synthesizer, seed: int, df: pd.DataFrame, before: Mapping[str, Any]
    ) -> int:
        """Return how many rows stand of those that begin with ``df``, or that it begins with: a longer table begins with the shorter one.

        Where a sample before this one has another length now, they stand with other identifiers.
        """
        first, n_rows = first_id(self.job, sample), before.get("rows", len(df))
        if n_rows > len(df) or before.get("first_id", first) != first:
            frames = self._draw(sample, synth, seed, n_rows, before.get("first_id"))
            df = pd.concat(frames, ignore_index=True)
        return before.get("appended", n_rows) if row_digest(df[:n_rows]) == before.get("sha256") else 0


def run_jobs(
    jobs: Sequence[Job],
    *,
    force: bool = False,
    retrain: bool = False,
    keep_going: bool = False,
    workers: int = 1,
    engine: Engine | None = None,
    verbose: bool = False,
    debug: bool = False,
    on_start: Callable[[Job], object] = lambda job: None,
    on_done: Callable[[JobResult], object] = lambda result: None,
    tell: Callable[[str], object] = lambda text: None,
) -> list[JobResult]:
    """Run jobs, one after another, in processes, or on a cluster.

    Args:
        keep_going: After a failure go on with the other jobs, rather than skip them; a cluster always does.
        workers: Processes; 1 runs the jobs in this one.
        engine: Where they run; ``None``: in processes of this machine.
        verbose: Show the progress of training; only with one worker.
        on_start: Called with each job that starts; with several workers perhaps from another thread.
        tell: See :func:`run_job`; with several workers it is pickled and called in each, and lines begin with their job's name.

    Returns:
        One result a job, in the order of ``jobs``.

    Raises:
        ConfigError: ``workers`` is not at least 1.
    """
    if workers < 1:
        raise ConfigError(f"must be at least 1, found workers={workers}", "workers")
    if engine is None or isinstance(engine, Local):
        engine = Local(min(workers if engine is None else engine.n_workers, max(1, len(jobs))))
    is_here = not engine.is_remote and engine.n_workers == 1
    options = {"force": force, "retrain": retrain, "debug": debug}
    run = functools.partial(_run_told, tell, options | ({"verbose": verbose} if is_here else {}), is_here)
    results: dict[int, JobResult] = {}
    started: list[int] = []

    def due() -> Iterator[Task]:
        for index, job in enumerate(jobs):
            stops = not (keep_going or engine.is_remote)
            if stops and any(result.status == "failed" for result in list(results.values())):
                return
            started.append(index)
            on_start(job)
            asked = job.spec.resources
            yield Task(index, job.name, (job,), Resources(asked.cpus, asked.gpus, asked.memory))

    def take(index: int, result: JobResult) -> None:
        results[index] = result
        on_done(result)

    try:
        for index, ended in engine.each(run, due()):
            if isinstance(ended, WorkerLostError):
                ended = JobResult(jobs[index].name, jobs[index].file, "failed", error=JobError.of(ended))
            take(index, ended)
    finally:
        for index in started:  # by a worker that was killed, perhaps
            let_go(jobs[index].record)
    for index, job in enumerate(jobs):
        if index not in results:
            take(index, JobResult(job.name, job.file, "skipped", "a job before it failed; --keep-going goes on"))
    return [results[index] for index in range(len(jobs))]


def _run_told(tell: Callable[[str], object], options: dict[str, Any], is_here: bool, job: Job) -> JobResult:
    """Run a job; the lines of one that runs beside others begin with its name."""
    return run_job(job, tell=tell if is_here else lambda text: tell(f"{job.name}: {text}"), **options)
