"""Jobs checked whole: every problem of every job, before any of them starts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import pandas as pd

from clover_tvae.columns.date_formats import packed_width
from clover_tvae.columns.dtypes import where_of
from clover_tvae.columns.people import count_people, people_of
from clover_tvae.errors import (
    MOST_PROBLEMS,
    CloverError,
    ConfigError,
    MetadataError,
    Problem,
    UserError,
    collected_warnings,
    did_you_mean,
)
from clover_tvae.evaluation.catalogue import OF_GENERATOR
from clover_tvae.evaluation.limits import Limits, limit_problems
from clover_tvae.evaluation.privacy import MIN_ROWS
from clover_tvae.files import as_called, closed, inside, not_there, unwritable
from clover_tvae.jobs.job import Job, JobTable
from clover_tvae.jobs.plan import check_stores, foreign_problems, learnt_from, plan_job
from clover_tvae.jobs.read import Draft, load_limits, path_called, read_drafts
from clover_tvae.jobs.record import Record, record_path
from clover_tvae.jobs.spec import DatabaseOutput, DatabaseSpec, DatasetSpec
from clover_tvae.metadata import Column, Metadata
from clover_tvae.metadata.column import name_fault
from clover_tvae.metadata.document import in_document, read_document
from clover_tvae.metadata.readings import read_names
from clover_tvae.metadata.validate import name_problems
from clover_tvae.parameters import Parameters
from clover_tvae.tables import DATABASE_FILES, EXTENSIONS, WRITTEN, Database, column_names
from clover_tvae.tables.places import Copies, Store, allowed_url, is_url
from clover_tvae.workflows.datasets import builtin_table

#: Checked tables are held until their job runs, together no more than this; a job reads its own again beyond it.
_HELD_BYTES = 2**30
Place = Sequence[str | int]


def load_jobs(
    files: Sequence[str | Path],
    *,
    root: str | Path | None = None,
    only: Sequence[str] = (),
    tables: Literal["never", "due", "always"] = "never",
    force: bool = False,
    retrain: bool = False,
    is_remote: bool = False,
    allow_urls: Sequence[str] = (),
) -> tuple[Job, ...]:
    """Read job files and check them whole.

    Args:
        root: The folder that paths are relative to and stay under; the folder of each job file if ``None``.
        only: Names of the jobs that are wanted; all if empty. The others must be well-formed, but their data may be
            elsewhere.
        tables: Of which of the wanted jobs to read the tables, too: whether the cells are what the metadata says, and
            whether some row could meet each condition. ``"due"`` reads those that a run would read, and those of jobs
            with other problems.
        force, retrain: See ``run_job``; they say what is due.
        is_remote: The jobs run on other machines: whether a table is there is found out by its own job.
        allow_urls: Folders of object stores that jobs may read and write under, such as ``s3://clinic/visits``.

    Returns:
        The wanted jobs, in the order of the files.

    Raises:
        ConfigError: With every problem of every file, each as ``file:line:column: message``.
    """
    problems: list[Problem] = []
    seen = Counter(Path(os.path.abspath(file)) for file in files)
    problems += [Problem(str(file), "must be given once, found it twice") for file, n in seen.items() if n > 1]
    read = [read_drafts(file, root, problems) for file in seen]
    drafts, names = [draft for found, _ in read for draft in found], {name for _, known in read for name in known}
    # Where a file cannot be read, a name that is not known may stand in it.
    for name in set(only) - names if not problems else ():
        hint = did_you_mean(name, names) or f"; known: {', '.join(sorted(names))}"
        problems.append(Problem("--only", f"there is no job {name!r}{hint}"))
    for place in allow_urls:
        if not is_url(place):
            problems.append(Problem("--allow-url", "must be the URL of a folder, such as s3://clinic/visits"))
        else:
            Store(place)  # a wrong one is refused here
    checks, n_told = list[_Check](), len(problems)
    for draft in drafts:
        if n_told >= MOST_PROBLEMS:
            problems.append(Problem("", "there may be more; mend these first"))
        elif not only or draft.spec.name in only:
            checks.append(_Check(draft, is_remote, allow_urls))
            n_told += len(checks[-1].problems)
    _find_collisions(checks)
    jobs, held = [], 0
    for check in checks:
        job = check.job()
        plan = None
        if tables == "due" and not check.problems:  # of a job that has some, all that can be told is told together
            with suppress(CloverError):  # told by the job itself, in its turn, if nothing else is wrong
                plan = plan_job(job, force=force, retrain=retrain)
        if plan is not None:
            with check._telling((), ""):
                check_stores(job, plan)
        is_due = plan is None or plan.train or plan.assess
        if tables == "always" or (tables == "due" and (check.problems or is_due)):
            check.read_table(job)
            if check.problems and not (force or retrain):
                check.tell_foreign(job)
            held += 0 if job.table is None else int(job.table.train.memory_usage(deep=True).sum())
            job.table = None if held > _HELD_BYTES else job.table
            job.rows = None if job.rows is None else (None, job.rows[1])
        if job.table is None:
            job.copies.close()
        problems += check.problems
        jobs.append(job)
    if problems:
        for check in checks:
            check.copies.close()
        raise ConfigError(sorted(dict.fromkeys(problems), key=_reading_order)[: MOST_PROBLEMS + 1])
    return tuple(jobs)


def _reading_order(problem: Problem) -> tuple[str, int, int]:
    file, line, column = ([*problem.where.rsplit(":", 2), "", ""])[:3]
    return (file, int(line), int(column)) if line.isdigit() and column.isdigit() else (problem.where, 0, 0)


class _Check:
    """The check of one job: all that can be told without reading a row, and then the rows."""

    def __init__(self, draft: Draft, is_remote: bool = False, allow_urls: Sequence[str] = ()) -> None:
        self.draft, self.spec, self.is_remote = draft, draft.spec, is_remote
        self.problems: list[Problem] = []
        self.written: list[tuple[Place, Path]] = []
        self.database: Database | None = None
        self.written_tables: list[tuple[Place, Database | None]] = []
        self.told: set[tuple[str | int, ...]] = set()
        self.paths: dict[str, Path] = {}
        self.allow_urls, self.copies, self.urls = allow_urls, Copies(), dict[str, str]()
        self.limits: Limits = self.spec.limits if isinstance(self.spec.limits, dict) else {}
        self.metadata: Metadata | None = None
        self.columns: tuple[Column, ...] = ()  # those of the metadata that can be read, if it is wrong elsewhere
        self.names: list[Hashable] | None = None  # those of the columns of the table, as far as they are known
        self.wrong: set[str] = set()  # columns of which the metadata or the cells are wrong
        generator = self._writes(("generator_filepath",), self.spec.generator_filepath, (".pkl",))
        self._has_generator = generator is not None and self._is_file("generator_filepath", generator)
        self._check_metadata()
        self._check_data()
        self._check_parameters()
        self._check_assessment()
        for index, sample in enumerate(self.spec.sample):
            place: Place = ("sample", index, "output")
            if isinstance(sample.output, DatabaseOutput):
                self.written_tables.append((place, self._database(place, sample.output)))
            else:
                self._writes(place, sample.output, WRITTEN)
        self._check_conditions()

    def job(self) -> Job:
        """Return the job; it may be run where nothing is wrong."""
        draft = self.draft
        record = record_path(draft.folder, draft.path, self.spec.name)
        found = self.metadata, self.limits, self.urls, self.copies
        return Job(self.spec, draft.folder, draft.file, self.paths, record, *found)

    def tell(self, path: Place, message: str) -> None:
        self.problems.append(self.draft.problem(path, message))
        self.told |= {tuple(path), tuple(path[:1])}

    def _is_refused(self, *keys: str) -> bool:
        return any(key in self.draft.refused or (key,) in self.told for key in keys)

    @contextmanager
    def _telling(self, path: Place, before: str) -> Iterator[None]:
        """Tell the errors of what is tried as problems of the key at ``path``."""
        try:
            yield
        except UserError as error:
            self._tell_error(path, before, error)

    def _tell_error(self, path: Place, before: str, error: UserError) -> None:
        for problem in error.problems:
            text = as_called(str(problem).replace(f"{self.draft.folder}{os.sep}", ""))
            self.tell(path, before + text.removeprefix(before))

    # -- files --------------------------------------------------------------------------------------------------------

    def _resolve(self, path: Place, text: str) -> Path | None:
        try:
            if is_url(text):
                self.urls[text] = allowed_url(text, self.allow_urls)
                self.paths[text] = Path(unquote(text))  # what is only compared; :meth:`Job.path` leads to a copy
            else:
                self.paths[text] = inside(self.draft.folder, text)
        except UserError as error:
            self.tell(path, f"{path[-1]}: the path {error.problems[0].message}")
        return self.paths.get(text)

    def _named(self, path: Place, text: str, suffixes: tuple[str, ...]) -> Path | None:
        """Return where a path leads whose name must end in one of ``suffixes``."""
        if text.lower().endswith(suffixes) and Path(text).name.lower() not in suffixes:
            return self._resolve(path, text)
        self.tell(path, f"{path[-1]}: must be a file name that ends in {' or '.join(suffixes)}")
        return None

    def _writes(self, path: Place, text: str | None, suffixes: tuple[str, ...]) -> Path | None:
        """Check a file that the job writes, and return where it goes."""
        if text is None or (target := self._named(path, text, suffixes)) is None:
            return None
        self.written.append((path, target))
        if text in self.urls:  # what the store lets be written is asked for the files that are due
            return target
        there = next((parent for parent in target.parents if os.path.exists(parent)), target.parent)
        if fault := unwritable(target) or closed(target):
            self.tell(path, f"{path[-1]}: {fault}")
        elif not os.path.isdir(there):
            self.tell(path, f"{path[-1]}: {there.name!r} is a file, not a folder")
        return target

    def _reads(self, key: str, text: str, *, may_lack: bool = False) -> Path | None:
        """Check a table that the job reads, and return it if it is there, on this machine."""
        if is_url(text):
            if self._resolve((key,), text) and not self.is_remote:
                with self._telling((key,), f"{key}: "):
                    kind = Store(self.urls[text]).kind()
                    if kind == "file" or (kind and key != "data"):
                        self._named((key,), text, EXTENSIONS)
                    elif kind is None and not may_lack:
                        self.tell((key,), f"{key}: {text}: the file does not exist")
            return None
        if "://" in text:
            cure = "write the URL into an environment variable, and here {url_from: ITS_NAME, table: ...}"
            self.tell((key,), f"{key}: must be a file; for a database, {cure}")
            return None
        if key == "data" and not text.lower().endswith(EXTENSIONS) and os.path.isdir(self.draft.folder / text):
            return self._resolve((key,), text)
        path = self._named((key,), text, EXTENSIONS)
        if path is None or os.path.isfile(path):
            return path
        if os.path.exists(path) or not may_lack:
            what = "the file is a folder" if os.path.isdir(path) else not_there(path)
            self.tell((key,), f"{key}: {text}: {what} (paths are relative to {path_called(self.draft.folder)})")
        return None

    def _database(
        self, place: Place, said: DatabaseSpec | DatabaseOutput, *, may_lack: bool = False
    ) -> Database | None:
        """Check a table of a database, and return it if its variable is set, or its file there."""
        file = None if said.file is None else self._named((*place, "file"), said.file, tuple(DATABASE_FILES))
        if said.file is not None and file is None:
            return None
        database = said.database(file)
        if database.is_known or (isinstance(said, DatabaseOutput) and file is not None):
            return database
        if not may_lack:
            lacks = not_there(file) if file else f"the environment variable {said.url_from} is not set"
            self.tell((*place, "file" if file else "url_from"), f"{place[-1]}: {lacks}")
        return None

    def _is_file(self, key: str, path: Path) -> bool:
        """Whether the file of a key is there; of a store it is asked where the job runs."""
        if (url := self.urls.get(getattr(self.spec, key))) is None:
            return path.is_file()
        with self._telling((key,), f"{key}: "):
            return self.is_remote or Store(url).kind() == "file"
        return True  # nothing more is told of it

    def _here(self, text: str) -> Path:
        """Return a file that the check itself reads."""
        return Path(self.copies.here(self.urls[text])) if text in self.urls else self.paths[text]

    # -- keys ---------------------------------------------------------------------------------------------------------

    def _check_metadata(self) -> None:
        said = self.spec.metadata
        if said == "infer" or (isinstance(said, str) and self._resolve(("metadata",), said) is None):
            return
        if said is not None:
            with self._telling(("metadata",), f"{said}: " if isinstance(said, str) else "metadata: "):
                try:
                    self.metadata = Metadata.of(self._here(said)) if isinstance(said, str) else self._inline(said)
                    self.columns = self.metadata.columns
                except MetadataError as error:
                    self.columns = error.columns
                    raise
        elif self.draft.whole and self.spec.data is not None and not self._has_generator:
            self.tell(("metadata",), "the key 'metadata' is missing; give a JSON file, a mapping, or the word infer")

    def _inline(self, said: dict[str, Any]) -> Metadata:
        """Return the metadata written in the job; each problem is told where it stands, and the error holds none."""

        def tell(found: list[tuple[tuple[str | int, ...], str]]) -> list[Problem]:
            for (place, _), problem in zip(found, in_document(found), strict=True):
                self.tell(("metadata", *place), f"metadata: {problem}")
            return []

        return Metadata(*read_document(said, (), tell))

    def _check_data(self) -> None:
        spec = self.spec
        if self.draft.whole and spec.generator_filepath is None and not spec.sample and not spec.pages:
            self.tell((), "the job leaves nothing behind; give generator_filepath, sample, or both")
        if self.draft.whole and spec.data is None and not self._has_generator:
            there = "no generator_filepath" if spec.generator_filepath is None else "no file at generator_filepath yet"
            self.tell(("data",), f"the key 'data' is missing: there is {there}, and nothing to learn one from")
        elif isinstance(spec.data, DatasetSpec | DatabaseSpec):
            what = "a built-in table" if isinstance(spec.data, DatasetSpec) else "a table of a database"
            if spec.missing != ("",):
                self.tell(("missing",), f"missing belongs to a CSV file; {what} has real missing cells")
            elif spec.read is not None:
                self.tell(("read",), f"read belongs to a CSV file, which {what} is not")
        # With a generator, rows can be drawn on a machine that never sees the data.
        may_lack = self._has_generator or self.is_remote
        path = self._reads("data", spec.data, may_lack=may_lack) if isinstance(spec.data, str) else None
        if path is not None and not self._is_refused("read"):
            with self._telling(("data",), "data: "):
                self._check_names(column_names(path, self._sound(), spec.read))
        elif isinstance(spec.data, DatabaseSpec):
            self.database = self._database(("data",), spec.data, may_lack=may_lack)
            if self.database is not None:
                with self._telling(("data",), "data: "):
                    self._check_names(self.database.column_names())
        elif isinstance(spec.data, DatasetSpec) and self.columns and self.metadata is None:
            self._check_names(builtin_table(spec.data.dataset).columns)

    def _check_names(self, names: Iterable[Hashable]) -> None:
        """Hold the columns of the metadata against those of the table."""
        self.names, declared = read_names(self.columns, names), {where_of(column.name) for column in self.columns}
        for problem in name_problems(self.columns, self.names, self.metadata and self.metadata.unit):
            if self.metadata or problem.where in declared:
                self.tell(("metadata",), str(problem))
                self.wrong.add(problem.where)
        for column in (column for column in self.columns if column.name not in self.names):
            told = f"; did you mean {column.name!r}?"  # it is no cure for another name
            self.problems = [replace(p, message=p.message.removesuffix(told)) for p in self.problems]

    def _sound(self) -> Metadata | None:
        """Return what is known of the table and not wrong: of the metadata, or of single columns; the others are ignored."""
        if self.metadata is not None and not self.wrong:
            return self.metadata
        n_listed = Counter(column.name for column in self.columns)
        left = [c for c in self.columns if n_listed[c.name] == 1 and where_of(c.name) not in self.wrong]
        if self.names is None and isinstance(self.spec.data, DatasetSpec):
            self.names = [*builtin_table(self.spec.data.dataset).columns]
        if self.names is not None:
            left = [column for column in left if column.name in self.names]
            known = {column.name for column in left}
            left += [Column(name, "ignore") for name in self.names if name not in known and not name_fault(name)]
        return Metadata(tuple(left), relations=()) if any(column.modelled for column in left) else None

    def _check_parameters(self) -> None:
        try:
            with collected_warnings([]):  # the run tells them
                Parameters.of(**self.spec.synthesizer.given())
        except ConfigError as error:
            for problem in error.problems:
                self.tell(("synthesizer", problem.where), str(problem))
            self.spec = self.spec.model_copy(update={"synthesizer": Parameters.model_validate({})})

    def _check_assessment(self) -> None:
        """Check the keys ``holdout``, ``report``, ``dossier``, ``about`` and ``limits``."""
        spec = self.spec
        for key in ("holdout", "report", "dossier", "limits"):
            if self.draft.whole and spec.data is None and getattr(spec, key) is not None:
                self.tell((key,), f"{key} needs the key 'data': rows are measured against real ones")
        for key, text in spec.pages.items():
            self._writes(("dossier" if key == "json" else key,), text, (".json" if key == "json" else ".html",))
        if spec.about:
            from clover_tvae.report.dossier import check_about

            with self._telling(("about",), ""):
                check_about(spec.about)
            if spec.dossier is None:
                self.tell(("about",), "about needs the key 'dossier', whose fields it gives")
        if isinstance(spec.holdout, str):
            self._reads("holdout", spec.holdout)
        if isinstance(spec.limits, str):
            with self._telling(("limits",), "limits: "):
                if self._resolve(("limits",), spec.limits):
                    self.limits = load_limits(self._here(spec.limits))
        elif spec.limits is not None:
            for path, message in limit_problems(spec.limits):
                self.tell(("limits", *path), f"limits: {message}")
        for index, sample in enumerate(spec.sample):
            if 0 < sample.rows < MIN_ROWS and (attacked := self._attacked(of_rows=True)):
                cure = "draw more rows, or leave this limit out"
                text = f"rows: {sample.rows} rows are too few to measure {attacked!r} ({MIN_ROWS} at least), and a limit of it is set; {cure}"
                self.tell(("sample", index, "rows"), text)
        if self.metadata is None and spec.metadata != "infer":
            return
        utility = next((key for key in self.limits if key.startswith("utility.")), None)
        if utility and (self.metadata is None or self.metadata.variable_to_predict is None):
            # Found out after the training, it would have cost the night.
            cure = "write the metadata out with variable_to_predict, or leave this limit out"
            text = f"limits: {utility!r} cannot be measured without a column to predict; {cure}"
            self.tell(("limits", utility), text)

    def _attacked(self, *, of_rows: bool = False) -> str | None:
        """Return the first figure with a limit that needs people who were learnt and people who were held out, ``of_rows``: as an attack on rows."""
        free = ("privacy.cop", *(OF_GENERATOR if of_rows else ()))
        return next((key for key in self.limits if key.startswith("privacy.") and not key.startswith(free)), None)

    def _check_sizes(self, table: JobTable) -> None:
        """Tell a limit of a figure that too few people are there to measure: found out after the training, it would have cost the night."""
        attacked = self._attacked()
        for what, rows in (("learns", table.train), ("holds out", table.holdout)):
            if attacked is None or not isinstance(rows, pd.DataFrame):
                continue
            people = people_of(rows, table.metadata.unit)
            n, of = count_people(people, len(rows)), "rows" if people is None else "people"
            if n < MIN_ROWS:
                cure = "hold out another share ('holdout'), give more rows, or leave this limit out"
                text = f"limits: {attacked!r} cannot be measured: the job {what} {n} {of}, and needs {MIN_ROWS}; {cure}"
                self.tell(("limits", attacked), text)

    def _check_conditions(self) -> None:
        if self.metadata is None:
            return
        columns = {column.name: column for column in self.metadata.modelled}
        there = [name for name in columns if self.names is None or name in self.names]
        for index, sample in enumerate(self.spec.sample):
            for name, condition in sample.parsed_conditions().items():
                place = ("sample", index, "conditions", name)
                if name in columns:
                    of_digits = packed_width(columns[name].format)
                    with self._telling(place, f"{name}: "):
                        condition.check(columns[name].kind, "number" if of_digits else None)
                else:
                    self.tell(place, f"the metadata has no modelled column {name!r}{did_you_mean(name, there)}")

    # -- rows ---------------------------------------------------------------------------------------------------------

    def read_table(self, job: Job) -> None:
        """Read the tables of the job, as far as they are there and described, and ask whether some row could meet each condition."""
        if self._is_refused("data", "missing", "read") or (self._is_refused("metadata") and not self.columns):
            return
        noted: list[str] = []
        with collected_warnings(noted), self._telling(("data",), "data: "):
            if not job.has_data or (table := self._read(job)) is None:
                return
            is_whole = self.spec.metadata in (None, "infer") or table.metadata is self.metadata
            learnt = {column.name for column in table.metadata.modelled}
            for index, sample in enumerate(self.spec.sample):
                for name, condition in sample.parsed_conditions().items():
                    place: Place = ("sample", index, "conditions", name)
                    if place not in self.told and (name in learnt or is_whole):
                        with self._telling(place, "conditions: "):
                            table.synth.check_conditions({name: condition})
                together: Place = ("sample", index, "conditions")
                if is_whole and not any(told[:3] == together for told in self.told):  # each can be met
                    with self._telling(together, "conditions: "):
                        table.synth.check_conditions(dict(sample.parsed_conditions().items()))
            if not self._is_refused("holdout"):
                with self._telling(("holdout",), "holdout: "):
                    job.table = job.with_holdout(table)
        if job.table is not None:
            job.table = replace(job.table, warnings=tuple(noted))
            self._check_sizes(job.table)

    def _read(self, job: Job) -> JobTable | None:
        """Read the table of the job; columns that are wrong are told and left out, so that they hide no other's faults."""
        learnt, described = learnt_from(job), self.spec.metadata not in (None, "infer")
        while (metadata := self._sound()) is not None or not described:
            tried = replace(job, metadata=metadata)
            try:
                table, job.found = tried.read_table(learnt), tried.found
                return table
            except UserError as error:
                places = [where_of(column.name) for column in (() if metadata is None else metadata.columns)]
                at_fault = {place for place in places if any(p.where.endswith(place) for p in error.problems)}
                if at_fault <= self.wrong:
                    raise
                self._tell_error(("data",), "data: ", error)
                self.wrong |= at_fault
        return None

    def tell_foreign(self, job: Job) -> None:
        """Tell the files of others that stand where the job would write."""
        with self._telling((), ""):
            for problem in foreign_problems(job, Record.load(job.record, job.name)):
                place = next(place for place, path in self.written if path == job.paths[problem.where])
                self.tell(place, f"{place[-1]}: {problem.message}")


def _find_collisions(checks: Iterable[_Check]) -> None:
    """Find files that two jobs write, or that one writes and another reads."""
    written: dict[str, str] = {}
    read: dict[str, str] = {}
    for check in checks:
        spec = check.spec
        read.setdefault(_key(check.draft.path), "a job file")
        for what in ("data", "metadata", "holdout", "limits"):
            if isinstance(text := getattr(spec, what), str) and text in check.paths:
                read.setdefault(_key(check.paths[text]), f"the {what} of job {spec.name!r}")
        if spec.data is None and check.draft.whole and spec.generator_filepath in check.paths:
            what = f"the generator of job {spec.name!r}, which has no data to train it"
            read.setdefault(_key(check.paths[spec.generator_filepath]), what)
        if check.database is not None:
            read.setdefault(check.database.identity, f"the data of job {spec.name!r}")
    for check in checks:
        for place, path in check.written:
            what, key = str(place[-1]), _key(path)
            if what == "generator_filepath" and check.spec.data is None and check.draft.whole:
                continue
            if key in written:
                check.tell(place, f"{what}: the file is written as {written[key]} too; give each its own")
            elif key in read:
                check.tell(place, f"{what}: the file is {read[key]}; it would be overwritten")
            elif folder := next((read[_key(above)] for above in path.parents if _key(above) in read), None):
                check.tell(place, f"{what}: the file lies in {folder}; it would be read as part of it")
            written.setdefault(key, f"{what} of job {check.spec.name!r}")
        for place, table in check.written_tables:
            if table is not None and (known := read.get(table.identity) or written.get(table.identity)):
                check.tell(place, f"{place[-1]}: the table is {known}; give each its own")
            if table is not None:
                written.setdefault(table.identity, f"{place[-1]} of job {check.spec.name!r}")


def _key(path: Path) -> str:
    # Some file systems know no case: two names that differ only there may be one file.
    return str(path.resolve()).casefold()
