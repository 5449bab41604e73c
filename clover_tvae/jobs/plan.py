"""What there is to do for a job now, and why: the job held against what it left behind the last time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clover_tvae.errors import ConfigError, Problem
from clover_tvae.jobs.job import Job
from clover_tvae.jobs.record import Record
from clover_tvae.jobs.spec import DatabaseOutput, SampleSpec
from clover_tvae.tables import TABLE_EXISTS
from clover_tvae.tables.places import Store

# Parameters that do not change what is learnt.
_NOT_LEARNT = ("decode", "device", "trust_pickle", "discriminator_steps")


@dataclass(frozen=True)
class Plan:
    """What a run of the job would do.

    Args:
        train: Learn the table (again), rather than open the generator.
        samples: Indices of the samples to write.
        reason: Why, in a sentence for the user.
        record: What the job left behind the last time.
        learnt: What decides on a training, as it is now.
        check_data: Compare the generator with the data of the job, because nothing else says that they belong together.
        assess: Measure the rows of all samples, for a report or for limits, before any is written.
        anew: Begin at the beginning, even where a checkpoint is there.
    """

    train: bool
    samples: tuple[int, ...]
    reason: str
    record: Record
    learnt: Mapping[str, Any]
    check_data: bool = False
    assess: bool = False
    anew: bool = False

    @property
    def up_to_date(self) -> bool:
        return not self.train and not self.samples and not self.assess


def plan_job(job: Job, *, force: bool = False, retrain: bool = False) -> Plan:
    """Compare a job with what lies in its folder.

    A generator file that is there is used, unless this job trained it and the data, the metadata or the parameters
    have changed since. An output is drawn again if it is not there, or if what it was drawn from or asked for has
    changed. Where there are pages or limits, these are of the very rows that stand there: then all are measured, and files
    written, together. A file that this job did not write is never overwritten without ``force``.

    Args:
        force: Draw every output again, and overwrite files that the job did not write.

    Raises:
        ConfigError: An output exists and was not written by this job, or was changed since; or there is nothing to
            train again from.
    """
    record = Record.load(job.record, job.name)
    learnt = learnt_from(job)
    generator = job.digest(job.spec.generator_filepath)
    train, reason, check = _training(job, record, learnt, generator)
    if retrain and not train:
        if not job.has_data:
            raise ConfigError("--retrain: the data of the job is not there, so that nothing can be learnt again")
        train, reason, check = True, "asked to train again", False
    if not (force or retrain) and (problems := foreign_problems(job, record)):
        raise ConfigError(problems)
    every = tuple(range(len(job.spec.sample)))
    assess = job.spec.assessed and (train or force or not _is_assessed(job, record, learnt, generator))
    is_stopped = job.spec.assessed and not assess and bool(record.assessment.get("breaches"))
    due = (i for i in every if train or force or _is_stale(job, job.spec.sample[i], record, generator))
    stale = () if is_stopped else tuple(due)
    if job.spec.assessed and (stale or assess):
        assess = True
        # Rows of a database that stand are measured, and not written twice.
        stale = tuple(i for i in every if i in stale or isinstance(job.spec.sample[i].output, str))
    if not train and generator is None and (stale or assess):
        train, stale, assess = True, every, job.spec.assessed
        reason = "an output is due, and the job keeps no generator"
    elif not train:
        work = "measuring" if assess else "sampling" if stale else None
        reason = f"{reason}: {work} without training" if work else "nothing has changed since the last run"
    for sample in (job.spec.sample[index] for index in stale):
        said = sample.output
        if isinstance(said, DatabaseOutput) and said.if_exists == "fail" and job.database(said).table_is_there():
            raise ConfigError(TABLE_EXISTS, sample.place)
    return Plan(train, stale, reason, record, learnt, check, assess, retrain)


def check_stores(job: Job, plan: Plan) -> None:
    """Find out whether the object stores that a run would write to let it.

    Raises:
        TableFileError: One refuses.
    """
    written = [job.spec.generator_filepath] if plan.train else []
    written += [*job.spec.pages.values()] if plan.assess else []
    written += [job.spec.sample[index].place for index in plan.samples]
    for folder in dict.fromkeys(Store(job.urls[text]).parent for text in written if text and text in job.urls):
        folder.check_writable()


def _training(job: Job, record: Record, learnt: Mapping[str, Any], generator: str | None) -> tuple[bool, str, bool]:
    """Tell whether to train, why, and whether the generator must be compared with the data."""
    if generator is None and job.spec.generator_filepath is not None:
        return True, "no generator file yet", False
    if generator is None and not record.outputs:
        return True, "not run before", False
    if generator is not None and record.generator != generator:
        return False, "generator present (not trained by this job)", job.has_data
    # Without the data there is nothing to compare: the generator is used.
    if (generator is None or (record.learnt and job.has_data)) and (changed := _changes(record.learnt, learnt)):
        return True, f"changed since the last training: {', '.join(changed)}", False
    return False, "generator present", False


def learnt_from(job: Job) -> dict[str, Any]:
    """Return what decides on a training: digests of data and metadata, and the parameters."""
    spec = job.spec
    parameters = {k: v for k, v in spec.synthesizer.given().items() if k not in _NOT_LEARNT}
    return {
        "data": job.data_digest(),
        "missing": _digest(sorted(spec.missing)),
        "read": None if spec.read is None else spec.read.model_dump(exclude_none=True),
        "metadata": "infer" if job.metadata is None else _digest(job.metadata.to_dict()),
        "parameters": json.loads(json.dumps(parameters)),
        "holdout": job.holdout_fraction,
    }


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changed = [key for key in ("data", "missing", "read", "metadata", "holdout") if before.get(key) != now[key]]
    old, new = before.get("parameters", {}), now["parameters"]
    return changed + sorted(f"synthesizer.{key}" for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def first_id(job: Job, sample: SampleSpec) -> int:
    """Return the number of a sample's first identifier: the samples of a job share none."""
    return 1 + sum(before.rows for before in job.spec.sample[: job.spec.sample.index(sample)])


def sample_digest(job: Job, sample: SampleSpec) -> str:
    """Return the digest of what a sample asks for, the path aside."""
    asked = sample.model_dump(mode="json", exclude={"output"})
    asked["decode"] = sample.decode or job.spec.synthesizer.decode
    if sample.seed is None:
        asked["random_state"] = job.spec.synthesizer.random_state
    if (first := first_id(job, sample)) > 1:
        asked["first_id"] = first
    return _digest(asked)


def asked_of(job: Job, sample: SampleSpec, generator: str | None) -> dict[str, Any]:
    """Return what the record notes of rows that are drawn as they are asked for now."""
    return {"sample": sample_digest(job, sample), "generator": generator}


def assessment_digest(job: Job, learnt: Mapping[str, Any]) -> str:
    """Return the digest of what a job wants measured: its rows, its limits, the data and what is held out of it."""
    held = job.digest(job.spec.holdout) or job.holdout_fraction
    rows = {sample.place: sample_digest(job, sample) for sample in job.spec.sample}
    return _digest(
        {**learnt, "limits": job.limits, "held": held, "rows": rows, **job.spec.pages, "about": job.spec.about}
    )


def _is_assessed(job: Job, record: Record, learnt: Mapping[str, Any], generator: str | None) -> bool:
    """Tell whether the record holds the measurement that the job asks for, of this generator."""
    measured = record.assessment
    if measured.get("generator") != generator or measured.get("asked") != assessment_digest(job, learnt):
        return False
    return all(map(job.is_there, job.spec.pages.values()))


def _is_stale(job: Job, sample: SampleSpec, record: Record, generator: str | None) -> bool:
    entry = record.outputs.get(sample.place, {})
    if entry.get("sha256") is None:
        return True
    if isinstance(sample.output, DatabaseOutput):
        table = job.database(sample.output)
        if entry.get("place") != table.identity or not table.table_is_there():
            return True
    elif not job.is_there(sample.output):
        return True
    return not asked_of(job, sample, generator).items() <= entry.items()


def foreign_problems(job: Job, record: Record) -> list[Problem]:
    """Return a problem for each file in the place of an output that the job did not write, or that was changed since."""
    written = {text: entry.get("sha256") for text, entry in record.outputs.items()}
    written |= {text: record.assessment[key] for key, text in job.spec.pages.items() if key in record.assessment}
    cure = "move it away, or overwrite it with --force"
    problems = []
    for text in (*job.spec.pages.values(), *(sample.place for sample in job.spec.sample)):
        if text not in job.paths or not job.is_there(text):
            continue
        if text not in written:
            problems.append(Problem(text, f"the file exists and was not written by this job; {cure}"))
        # What is noted without a digest was being written when the job stopped.
        elif written[text] is not None and written[text] != job.digest(text):
            problems.append(Problem(text, f"the file was changed after this job wrote it; {cure}"))
    return problems


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode("utf-8")).hexdigest()
