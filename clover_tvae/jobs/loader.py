"""Job files read, merged with their defaults and checked whole: every problem of every job, before any of them starts.

This module knows the YAML reader, the schema, the metadata and where files lie. It reads no row of a table (``cells``
does, where that is asked for), and it does not know how a job is run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from clover_tvae.errors import CloverError, ConditionError, ConfigError, Problem, UserError, did_you_mean
from clover_tvae.evaluation.limits import Limits, limit_problems
from clover_tvae.files import inside
from clover_tvae.jobs.limits_file import load_limits
from clover_tvae.jobs.spec import DatasetSpec, JobSpec, spec_problems
from clover_tvae.jobs.split import DEFAULT_HOLDOUT
from clover_tvae.jobs.yaml_file import Node, read_yaml
from clover_tvae.parameters import NOT_IN_SDV, ONLY_IN_SDV
from clover_tvae.tables import EXTENSIONS, column_names

if TYPE_CHECKING:
    from clover_tvae.metadata import Metadata

__all__ = ["Job", "load_jobs"]

_TOP_KEYS = ("version", "defaults", "jobs")
# Of these mappings, single keys of the defaults stay where the job gives others; every other value replaces whole.
_MERGED = ("synthesizer", "sample")


@dataclass(frozen=True)
class Job:
    """A valid job, and the folder that its paths are relative to and stay under.

    Args:
        spec: What the job file says, defaults merged in.
        folder: The folder, absolute.
        file: The job file, as the user called it.
    """

    spec: JobSpec
    folder: Path
    file: str

    @property
    def name(self) -> str:
        return self.spec.name

    def path(self, text: str) -> Path:
        """Return the absolute path of ``text``, which must stay under the folder.

        Raises:
            TableFileError: It would leave the folder.
        """
        return inside(self.folder, text)

    @property
    def generator(self) -> Path | None:
        return None if self.spec.generator_filepath is None else self.path(self.spec.generator_filepath)

    @property
    def data_path(self) -> Path | None:
        """The file of the table; ``None`` for a built-in table or none."""
        return self.path(self.spec.data) if isinstance(self.spec.data, str) else None

    @property
    def holdout_path(self) -> Path | None:
        """The file of the held-out rows; ``None`` where a share of the data is held out, or nothing."""
        return self.path(self.spec.holdout) if isinstance(self.spec.holdout, str) else None

    @property
    def holdout_fraction(self) -> float | None:
        """The share of the data kept away from training; ``None`` where all of it is learnt."""
        if isinstance(self.spec.holdout, float):
            return self.spec.holdout
        return DEFAULT_HOLDOUT if self.spec.holdout is None and self.spec.assessed else None

    def limits(self) -> Limits:
        """Return the limits of the job; empty where it has none."""
        said = self.spec.limits
        if said is None:
            return {}
        return load_limits(self.path(said)) if isinstance(said, str) else said

    def metadata(self) -> Metadata | None:
        """Return the metadata of the job; ``None`` where it is to be inferred or is not given."""
        from clover_tvae.metadata import Metadata

        said = self.spec.metadata
        if said is None or said == "infer":
            return None
        return Metadata.of(self.path(said) if isinstance(said, str) else said)


def load_jobs(
    files: Sequence[str | Path],
    *,
    root: str | Path | None = None,
    only: Sequence[str] = (),
    read: Callable[[Job], bool] = lambda job: False,
) -> tuple[Job, ...]:
    """Read job files and check them whole.

    Args:
        files: The YAML files.
        root: The folder that paths are relative to and stay under; the folder of each job file if ``None``.
        only: Names of the jobs that are wanted; all if empty. The others must be well-formed, but their data may be
            elsewhere.
        read: For which of the wanted jobs to read the tables, too: whether the cells are what the metadata says, and
            whether some row could meet each condition. Only once everything else is in order.

    Returns:
        The wanted jobs, in the order of the files.

    Raises:
        ConfigError: With every problem of every file, each as ``file:line:column: message``.
    """
    problems: list[Problem] = []
    drafts: list[_Draft] = []
    names: set[str] = set()
    seen = dict.fromkeys(Path(os.path.abspath(file)) for file in files)
    if len(seen) < len(files):
        problems.append(Problem("", "a job file is given twice", ConfigError))
    for file in seen:
        drafts += _read(file, root, names, problems)
    unknown = [name for name in only if name not in names]
    # Where a file cannot be read, a name that is not known may stand in it.
    if unknown and not problems:
        known = ", ".join(sorted(names))
        problems += [
            Problem(
                "--only", f"there is no job {name!r}{did_you_mean(name, names) or f'; known: {known}'}", ConfigError
            )
            for name in unknown
        ]
    wanted = [draft for draft in drafts if not only or draft.job.name in only]
    for draft in wanted:
        problems += _file_problems(draft)
    problems += _collisions(wanted)
    if not problems:
        from clover_tvae.jobs.cells import cell_problems

        for draft in wanted:
            if read(draft.job):
                problems += [draft.problem(draft.place(path), text) for path, text in cell_problems(draft.job)]
    if problems:
        raise ConfigError(sorted(dict.fromkeys(problems), key=_place))
    return tuple(draft.job for draft in wanted)


@dataclass(frozen=True)
class _Draft:
    """A job and its node, which knows where everything stands.

    A job that the schema refuses goes on without the refused parts (``whole`` is false), so that a path that leaves the
    folder is reported together with a misspelt key.
    """

    node: Node
    job: Job
    whole: bool = True

    def problem(self, path: Sequence[str | int], message: str) -> Problem:
        return _problem(self.node, self.job.file, path, message)

    def place(self, path: Sequence[str | int]) -> Sequence[str | int]:
        """Return a path of the schema, where samples are a list, as a path in the job file."""
        return (*self.at(int(path[1])), *path[2:]) if path[:1] == ("sample",) else path

    def at(self, index: int) -> tuple[str | int, ...]:
        """Return the path of a sample in the job file, where a single one need not stand in a list."""
        return ("sample",) if isinstance(self.node.value["sample"].value, dict) else ("sample", index)


def _problem(node: Node, file: str, path: Sequence[str | int], message: str) -> Problem:
    line, column = node.place(path)
    return Problem(f"{file}:{line}:{column}", message, ConfigError)


def _place(problem: Problem) -> tuple[str, int, int]:
    """Return what puts problems in the order in which a reader of the files meets them."""
    file, line, column = ([*problem.where.rsplit(":", 2), "", ""])[:3]
    return (file, int(line), int(column)) if line.isdigit() and column.isdigit() else (problem.where, 0, 0)


def _read(file: Path, root: str | Path | None, all_names: set[str], problems: list[Problem]) -> list[_Draft]:
    called = _called(file)
    document, found = read_yaml(file, called)
    problems += found
    if document is None:
        return []

    def problem(path: Sequence[str | int], message: str) -> None:
        problems.append(_problem(document, called, path, message))

    top = document.value
    if not isinstance(top, dict):
        problem((), "expected a mapping with the keys version and jobs")
        return []
    for key in top:
        if key not in _TOP_KEYS:
            hint = did_you_mean(key, _TOP_KEYS) or f"; known: {', '.join(_TOP_KEYS)}"
            problem((key,), f"unknown key {key!r}{hint}")
    version = top.get("version")
    if version is None:
        problem((), "the key 'version' is missing; write version: 1")
    elif not (type(version.value) is int and version.value == 1):
        problem(("version",), "this release reads version 1 of a job file; write version: 1")
    defaults = top.get("defaults")
    if defaults is not None and not isinstance(defaults.value, dict):
        problem(("defaults",), "expected a mapping of the keys of a job")
        defaults = None
    if defaults is not None and "name" in defaults.value:
        problem(("defaults", "name"), "the key 'name' belongs to a job, not to the defaults")
    nodes = top.get("jobs")
    if nodes is None or not isinstance(nodes.value, list) or not nodes.value:
        problem(("jobs",), "expected a list of jobs, at least one")
        return []

    folder = (file.parent if root is None else Path(root)).resolve()
    drafts: list[_Draft] = []
    names: set[str] = set()
    for index, node in enumerate(nodes.value):
        if not isinstance(node.value, dict):
            problem(("jobs", index), "expected a mapping with the keys of a job")
            continue
        node = _merged(defaults, node)
        name = node.value["name"].value if "name" in node.value else None
        if isinstance(name, str):
            # Names become file names, and some file systems know no case.
            if name.casefold() in names:
                problem(("jobs", index, "name"), f"the name {name!r} is taken by another job of this file")
            names.add(name.casefold())
            all_names.add(name)
        try:
            drafts.append(_Draft(node, Job(JobSpec.model_validate(node.plain()), folder, called)))
        except ValidationError as error:
            # What the YAML reader has reported already would only be reported again as something else.
            found_here = spec_problems(error)
            for path, text in found_here:
                if not node.is_flagged(path):
                    problems.append(_problem(node, called, path, text))
            with contextlib.suppress(ValidationError):
                rest = _without(node.plain(), [path for path, _ in found_here])
                drafts.append(_Draft(node, Job(JobSpec.model_validate(rest), folder, called), whole=False))
    return drafts


def _without(job: dict[str, Any], paths: Iterable[Sequence[str | int]]) -> dict[str, Any]:
    """Return the keys of a job that no problem lies in or under; of a list of samples, the sound parts of each."""
    in_samples = [path for path in paths if len(path) > 2 and path[0] == "sample" and isinstance(path[1], int)]
    refused = {path[0] for path in paths if path and path not in in_samples}
    kept = {"name": "unnamed"} | {key: value for key, value in job.items() if key not in refused}
    if "sample" in kept and in_samples:
        kept["sample"] = _sound_samples(kept["sample"], in_samples)
    return kept


def _sound_samples(samples: Any, paths: Iterable[Sequence[str | int]]) -> list[Any]:
    """Return the samples without what the paths point at, so that what is left of them can be checked further."""
    listed = samples if isinstance(samples, list) else [samples]
    sound = [dict(sample) if isinstance(sample, dict) else sample for sample in listed]
    for _, index, key, *rest in paths:
        sample = sound[int(index)]
        conditions = sample.get("conditions")
        if key == "conditions" and rest and isinstance(conditions, dict):
            sample["conditions"] = {column: condition for column, condition in conditions.items() if column != rest[0]}
        else:
            sample.pop(key, None)
    # What a sample must have and has not: a stand-in that passes every check.
    return [
        {"rows": 0, "output": f"refused-{index}.csv"} | sample if isinstance(sample, dict) else sample
        for index, sample in enumerate(sound)
    ]


def _merged(defaults: Node | None, job: Node) -> Node:
    if defaults is None:
        return job
    # A default sample only completes the samples of a job; it gives none to a job that has none.
    dropped = {"name"} if "sample" in job.value else {"name", "sample"}
    value = {key: node for key, node in defaults.value.items() if key not in dropped}
    keys = {key: place for key, place in defaults.keys.items() if key not in dropped}
    for key, node in job.value.items():
        default = value.get(key)
        if key in _MERGED and default is not None and isinstance(default.value, dict):
            if isinstance(node.value, dict):
                node = replace(node, value=default.value | node.value, keys={**default.keys, **node.keys})
            elif isinstance(node.value, list):
                node = replace(node, value=[_over(default, part) for part in node.value])
        value[key] = node
        keys[key] = job.keys[key]
    return replace(job, value=value, keys=keys)


def _over(default: Node, node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    return replace(node, value=default.value | node.value, keys={**default.keys, **node.keys})


def _file_problems(draft: _Draft) -> Iterator[Problem]:
    """Check everything of a job that can be told without reading a row."""
    job = draft.job
    spec = job.spec
    if draft.whole and spec.generator_filepath is None and not spec.sample and spec.report is None:
        yield draft.problem((), "the job leaves nothing behind; give generator_filepath, sample, or both")

    generator_exists = False
    if spec.generator_filepath is not None:
        path, found = _written(draft, ("generator_filepath",), spec.generator_filepath, (".pkl",))
        yield from found
        generator_exists = path is not None and path.is_file()

    metadata, found = _metadata(draft)
    yield from found
    if draft.whole and spec.data is None and not generator_exists:
        there = "no generator_filepath" if spec.generator_filepath is None else "no file at generator_filepath yet"
        yield draft.problem((), f"the key 'data' is missing: there is {there}, and nothing to learn one from")
    elif isinstance(spec.data, str):
        yield from _table(draft, "data", spec.data, metadata, generator_exists)
    elif isinstance(spec.data, DatasetSpec) and spec.missing != ("",):
        yield draft.problem(("missing",), "missing belongs to a CSV file; a built-in table has real missing cells")

    if draft.whole and spec.data is not None and spec.metadata is None and not generator_exists:
        yield draft.problem((), "the key 'metadata' is missing; give a JSON file, a mapping, or the word infer")
    yield from _backend_problems(draft)
    yield from _assessment_problems(draft, metadata)
    for index, sample in enumerate(spec.sample):
        at = draft.at(index)
        yield from _written(draft, (*at, "output"), sample.output, EXTENSIONS)[1]
        known = None if metadata is None else [column.name for column in metadata.modelled]
        for column, condition in sample.parsed_conditions().items():
            if metadata is not None and known is not None and column in known:
                try:
                    condition.check(metadata.column(column).kind)
                except ConditionError as error:
                    yield draft.problem((*at, "conditions", column), f"{column}: {error}")
            elif known is not None:
                yield draft.problem(
                    (*at, "conditions", column),
                    f"the metadata has no modelled column {column!r}{did_you_mean(column, known)}",
                )


def _backend_problems(draft: _Draft) -> Iterator[Problem]:
    """Check that the backend knows the parameters."""
    given = draft.job.spec.synthesizer.parameters()
    sdv = given.get("backend") == "sdv"
    for name in NOT_IN_SDV if sdv else ONLY_IN_SDV:
        if name in given:
            what = "SDV's TVAE has no such parameter; leave it out, or use the native backend"
            yield draft.problem(("synthesizer", name), f"{name}: {what if sdv else 'only the sdv backend has it'}")


def _assessment_problems(draft: _Draft, metadata: Metadata | None) -> Iterator[Problem]:
    """Check the keys ``holdout``, ``report`` and ``limits``."""
    job, spec = draft.job, draft.job.spec
    if draft.whole and spec.data is None:
        for key in ("holdout", "report", "limits"):
            if getattr(spec, key) is not None:
                yield draft.problem((key,), f"{key} needs the key 'data': rows are measured against real ones")
    if spec.report is not None:
        yield from _written(draft, ("report",), spec.report, (".html",))[1]
    if isinstance(spec.holdout, str):
        yield from _table(draft, "holdout", spec.holdout, None, generator_exists=False)
    if isinstance(spec.limits, str):
        try:
            load_limits(job.path(spec.limits))
        except UserError as error:
            folder = f"{job.folder}{os.sep}"
            for problem in error.problems:
                text = f"{problem.where}: {problem.message}".replace(folder, "")
                yield draft.problem(("limits",), f"limits: {text}")
    elif spec.limits is not None:
        for path, message in limit_problems(spec.limits):
            yield draft.problem(("limits", *path), f"limits: {message}")
    nothing_to_predict = spec.metadata == "infer" or (metadata is not None and metadata.variable_to_predict is None)
    if nothing_to_predict and (figure := _first_of_utility(job)) is not None:
        # Found out after the training, it would have cost the night.
        cure = "write the metadata out with variable_to_predict, or leave this limit out"
        where = ("limits",) if isinstance(spec.limits, str) else ("limits", figure)
        yield draft.problem(where, f"limits: {figure!r} cannot be measured without a column to predict; {cure}")


def _first_of_utility(job: Job) -> str | None:
    try:
        return next((key for key in job.limits() if key.startswith("utility.")), None)
    except UserError:
        return None  # The limits are wrong themselves, which is told already.


def _written(
    draft: _Draft, path: Sequence[str | int], text: str, suffixes: Sequence[str]
) -> tuple[Path | None, list[Problem]]:
    """Resolve the path of a file that the job writes."""
    job = draft.job
    key = path[-1]
    if not text.lower().endswith(tuple(suffixes)) or Path(text).name.lower() in suffixes:
        return None, [draft.problem(path, f"{key}: expected a file name that ends in {' or '.join(suffixes)}")]
    try:
        resolved = job.path(text)
    except UserError as error:
        return None, [draft.problem(path, f"{key}: the path {problem.message}") for problem in error.problems]
    if resolved.is_dir():
        return None, [draft.problem(path, f"{key}: there is a folder of this name")]
    for parent in resolved.parents:
        if parent.exists():
            if not parent.is_dir():
                return None, [draft.problem(path, f"{key}: {parent.name!r} is a file, not a folder")]
            break
    return resolved, []


def _table(draft: _Draft, key: str, text: str, metadata: Metadata | None, generator_exists: bool) -> Iterator[Problem]:
    """Check a table that the job reads, as far as its name and its header tell."""
    job = draft.job
    if not text.lower().endswith(EXTENSIONS):
        yield draft.problem((key,), f"{key}: expected a file that ends in {' or '.join(EXTENSIONS)}")
        return
    try:
        path = job.path(text)
    except UserError as error:
        yield from (draft.problem((key,), f"{key}: the path {problem.message}") for problem in error.problems)
        return
    # With a generator, rows can be drawn on a machine that never sees the data.
    if generator_exists and not path.exists():
        return
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        yield draft.problem((key,), f"{key}: the file {what} (paths are relative to {_called(job.folder)})")
        return
    try:
        names = column_names(path, metadata)
    except UserError as error:
        yield from (draft.problem((key,), f"{key}: {problem.message}") for problem in error.problems)
        return
    if metadata is not None:
        try:
            metadata.check_names(names)
        except UserError as error:
            yield from (draft.problem(("metadata",), str(problem)) for problem in error.problems)


def _called(path: Path) -> str:
    """Return how messages call a path: from the working folder, where it lies below that."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _metadata(draft: _Draft) -> tuple[Metadata | None, list[Problem]]:
    job = draft.job
    try:
        if isinstance(job.spec.metadata, str) and job.spec.metadata != "infer":
            job.path(job.spec.metadata)
    except UserError as error:
        return None, [draft.problem(("metadata",), f"metadata: the path {p.message}") for p in error.problems]
    try:
        return job.metadata(), []
    except UserError as error:
        name = f"{job.spec.metadata}" if isinstance(job.spec.metadata, str) else "metadata"
        folder = f"{job.folder}{os.sep}"
        texts = [str(problem).replace(folder, "").removeprefix(f"{name}: ") for problem in error.problems]
        return None, [draft.problem(("metadata",), f"{name}: {text}") for text in texts]


def _collisions(drafts: Iterable[_Draft]) -> Iterator[Problem]:
    """Find files that two jobs write, or that one writes and another reads."""
    written: dict[str, str] = {}
    read: dict[str, str] = {}
    writes: list[tuple[_Draft, Sequence[str | int], str]] = []
    for draft in drafts:
        job = draft.job
        spec = job.spec
        read.setdefault(_key(Path(os.path.abspath(job.file))), "a job file")
        for what, text in (
            ("data", spec.data),
            ("metadata", spec.metadata),
            ("holdout", spec.holdout),
            ("limits", spec.limits),
        ):
            if isinstance(text, str) and (path := _resolved(job, text)):
                read.setdefault(path, f"the {what} of job {job.name!r}")
        if spec.generator_filepath and (path := _resolved(job, spec.generator_filepath)):
            if spec.data is None and draft.whole:
                read.setdefault(path, f"the generator of job {job.name!r}, which has no data to train it")
            else:
                writes.append((draft, ("generator_filepath",), path))
        if spec.report and (path := _resolved(job, spec.report)):
            writes.append((draft, ("report",), path))
        for index, sample in enumerate(spec.sample):
            at = draft.at(index)
            if path := _resolved(job, sample.output):
                writes.append((draft, (*at, "output"), path))
    for draft, where, path in writes:
        what = f"{where[-1]} of job {draft.job.name!r}"
        if path in written:
            yield draft.problem(where, f"{where[-1]}: the file is written as {written[path]} too; give each its own")
        elif path in read:
            yield draft.problem(where, f"{where[-1]}: the file is {read[path]}; it would be overwritten")
        written.setdefault(path, what)


def _resolved(job: Job, text: str) -> str | None:
    try:
        return _key(job.path(text))
    except CloverError:
        return None


def _key(path: Path) -> str:
    # Some file systems know no case: two names that differ only there may be one file.
    return str(path.resolve()).casefold()
