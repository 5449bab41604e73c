"""What a job left behind the last time, and from that: what there is to do now, and why.

Beside the files of a job lies a small record, ``.clover-tvae/<job file>.<job>.json``, with digests and parameters and
no cell of a table. This module knows jobs, digests and files. It does not train or draw.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clover_tvae.errors import CloverError, ConfigError, Problem
from clover_tvae.files import atomic_write
from clover_tvae.jobs.loader import Job
from clover_tvae.jobs.spec import DatasetSpec, SampleSpec

__all__ = ["Plan", "Record", "assessment_digest", "file_digest", "is_assessed", "plan_job", "reads_rows", "record_path"]

FOLDER = ".clover-tvae"
_FORMAT = "clover-tvae-job-record"
# Parameters that do not change what is learnt.
_NOT_LEARNT = ("decode", "device", "trust_pickle", "discriminator_steps")


@dataclass(frozen=True)
class Plan:
    """What a run of the job would do.

    Args:
        train: Learn the table (again), rather than open the generator.
        samples: Indices of the samples to draw.
        reason: Why, in a sentence for the user.
        check_data: Compare the generator with the data of the job, because nothing else says that they belong together.
        assess: Measure the generator's rows, for a report or for limits.
    """

    train: bool
    samples: tuple[int, ...]
    reason: str
    check_data: bool = False
    assess: bool = False

    @property
    def up_to_date(self) -> bool:
        return not self.train and not self.samples and not self.assess


@dataclass
class Record:
    """The record of one job.

    Args:
        learnt: Digests of data and metadata and the parameters, as they were when the generator was trained.
        generator: sha256 of the generator file; ``None`` if the job keeps none.
        outputs: For each output path: ``sample``, the digest of what was asked for; ``generator``, that of what drew
            it; ``sha256`` of the file, ``None`` while it is being written.
        assessment: ``asked``, the digest of what was to be measured; ``generator``, that of what was; ``report``, the
            digest of the file; ``breaches``, a sentence for each limit that was passed. Empty before any.
    """

    learnt: dict[str, Any] = field(default_factory=dict)
    generator: str | None = None
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    assessment: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, job: Job) -> Record | None:
        """Return the record of ``job``; ``None`` where there is none that can be read, which costs only work."""
        try:
            with record_path(job).open("rb") as file:
                content = json.loads(file.read(2**22))
            if content["format"] != _FORMAT or content["version"] != 1:
                return None
            outputs = {str(path): dict(entry) for path, entry in content["outputs"].items()}
            return cls(dict(content["learnt"]), content["generator"], outputs, dict(content.get("assessment", {})))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def save(self, job: Job) -> None:
        """Write the record, atomically."""
        path = record_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        ignore = path.parent / ".gitignore"
        if not ignore.exists():
            atomic_write(ignore, lambda file: file.write(b"*\n"), mode=0o644)
        content = {"format": _FORMAT, "version": 1, "job": job.name, "learnt": self.learnt, "generator": self.generator}
        content |= {"outputs": self.outputs, "assessment": self.assessment}
        text = json.dumps(content, indent=1, sort_keys=True)
        atomic_write(path, lambda file: file.write(text.encode("utf-8")))


def record_path(job: Job) -> Path:
    """Return where the record of ``job`` lies; job files of one name in several folders under one root keep apart."""
    file = Path(job.file).absolute()
    name = file.name
    if file.parent.resolve() != job.folder.resolve():
        name += (
            "." + hashlib.sha256(os.path.relpath(file, job.folder).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        )
    return job.path(f"{FOLDER}/{name}.{job.name}.json")


def file_digest(path: Path) -> str | None:
    """Return the sha256 of a file, ``None`` if it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode("utf-8")).hexdigest()


def learnt_from(job: Job) -> dict[str, Any]:
    """Return what decides on a training: digests of data and metadata, and the parameters."""
    spec = job.spec
    data: str | None = None
    if isinstance(spec.data, DatasetSpec):
        data = f"{spec.data.dataset}"
    elif (path := job.data_path) is not None:
        data = file_digest(path)
    metadata = job.metadata()
    parameters = {k: v for k, v in spec.synthesizer.parameters().items() if k not in _NOT_LEARNT}
    return {
        "data": data,
        "missing": _digest(sorted(spec.missing)),
        "metadata": "infer" if metadata is None else _digest(metadata.to_dict()),
        "parameters": json.loads(json.dumps(parameters)),
        "holdout": job.holdout_fraction,
    }


def sample_digest(job: Job, sample: SampleSpec) -> str:
    """Return the digest of what a sample asks for, the path aside."""
    asked = sample.model_dump(mode="json", exclude={"output"})
    asked["decode"] = sample.decode or job.spec.synthesizer.decode
    if sample.seed is None:
        asked["random_state"] = job.spec.synthesizer.random_state
    return _digest(asked)


def assessment_digest(job: Job) -> str:
    """Return the digest of what a job wants measured: its limits, the data and what is held out of it."""
    held = job.holdout_path
    asked = {
        **learnt_from(job),
        "limits": job.limits(),
        "held": job.holdout_fraction if held is None else file_digest(held),
        "report": job.spec.report,
    }
    return _digest(asked)


def is_assessed(job: Job, record: Record | None, generator: str | None) -> bool:
    """Tell whether the record holds the measurement that the job asks for, of this generator."""
    if record is None or record.assessment.get("asked") != assessment_digest(job):
        return False
    if record.assessment.get("generator") != generator:
        return False
    return job.spec.report is None or job.path(job.spec.report).is_file()


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changed = [key for key in ("data", "missing", "metadata", "holdout") if before.get(key) != now[key]]
    old, new = before.get("parameters", {}), now["parameters"]
    return changed + sorted(f"synthesizer.{key}" for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def reads_rows(job: Job, *, force: bool = False, retrain: bool = False) -> bool:
    """Return whether a run of the job would read its table: to learn it, or to measure against it."""
    try:
        plan = plan_job(job, force=force, retrain=retrain)
    except CloverError:
        return False  # told by the job itself, in its turn
    return plan.train or plan.assess


def plan_job(job: Job, *, force: bool = False, retrain: bool = False) -> Plan:
    """Compare a job with what lies in its folder.

    A generator file that is there is used, unless this job trained it and the data, the metadata or the parameters
    have changed since. An output is drawn again if it is not there, or if what it was drawn from or asked for has
    changed. A file that this job did not write is never overwritten without ``force``.

    Args:
        job: The job.
        force: Draw every output again, and overwrite files that the job did not write.
        retrain: Train again, too.

    Raises:
        ConfigError: An output exists and was not written by this job, or was changed since.
        CloverError: The metadata or a path cannot be read.
    """
    record = Record.load(job)
    every = tuple(range(len(job.spec.sample)))
    generator = job.generator
    digest = None if generator is None else file_digest(generator)
    has_data = isinstance(job.spec.data, DatasetSpec) or ((path := job.data_path) is not None and path.is_file())

    if generator is not None and digest is not None:
        train, reason, check = _generator_there(job, record, digest, has_data)
    elif generator is not None:
        train, reason, check = True, "no generator file yet", False
    elif record is None or not record.outputs:
        train, reason, check = True, "not run before", False
    else:
        # Without a generator file, training is due exactly when an output is.
        changed = _changes(record.learnt, learnt_from(job))
        train, reason, check = bool(changed), _because(changed), False
    if retrain and not train:
        if not has_data:
            raise ConfigError("--retrain: the data of the job is not there, so that nothing can be learnt again")
        train, reason, check = True, "asked to train again", False

    if not force and not retrain:
        _refuse_foreign(job, record)
    stale = every if train or force else tuple(i for i in every if _is_stale(job, i, record, digest))
    assess = job.spec.assessed and (train or force or not is_assessed(job, record, digest))
    if not train and not stale and not assess:
        return Plan(False, (), "nothing has changed since the last run")
    if not train and generator is None:
        return Plan(True, every, "an output is due, and the job keeps no generator", assess=job.spec.assessed)
    if not train:
        reason = f"{reason}: {'sampling' if stale else 'measuring'} without training"
    return Plan(train, stale, reason, check, assess)


def _generator_there(job: Job, record: Record | None, digest: str, has_data: bool) -> tuple[bool, str, bool]:
    if record is None or record.generator != digest:
        return False, "generator present (not trained by this job)", has_data
    if not record.learnt or not has_data:
        return False, "generator present", False
    changed = _changes(record.learnt, learnt_from(job))
    return bool(changed), _because(changed) if changed else "generator present", False


def _because(changed: list[str]) -> str:
    return f"changed since the last training: {', '.join(changed)}"


def _is_stale(job: Job, index: int, record: Record | None, generator: str | None) -> bool:
    sample = job.spec.sample[index]
    entry = None if record is None else record.outputs.get(sample.output)
    if entry is None or entry.get("sha256") is None or not job.path(sample.output).is_file():
        return True
    return entry.get("sample") != sample_digest(job, sample) or entry.get("generator") != generator


def _refuse_foreign(job: Job, record: Record | None) -> None:
    problems = []
    report = job.spec.report
    if report is not None and job.path(report).exists():
        written = None if record is None else record.assessment.get("report", "")
        if written == "" or record is None:
            problems.append(Problem(report, "the file exists and was not written by this job"))
        elif written is not None and written != file_digest(job.path(report)):
            problems.append(Problem(report, "the file was changed after this job wrote it"))
    for sample in job.spec.sample:
        path = job.path(sample.output)
        if not path.exists():
            continue
        entry = None if record is None else record.outputs.get(sample.output)
        if entry is None:
            problems.append(Problem(sample.output, "the file exists and was not written by this job"))
        elif entry.get("sha256") is not None and entry["sha256"] != file_digest(path):
            problems.append(Problem(sample.output, "the file was changed after this job wrote it"))
    if problems:
        raise ConfigError(
            [
                Problem(p.where, f"{p.message}; move it away, or overwrite it with --force", ConfigError)
                for p in problems
            ]
        )
