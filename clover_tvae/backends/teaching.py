"""Teacher and student: what leaves the house learns from rows, not from people.

A teacher learns the people and writes rows, of which some are chosen (:mod:`clover_tvae.backends.choosing`); a student of the
ordinary kind learns those rows and nothing else, and is all that is kept. Whatever its file, and all rows ever drawn from it,
can tell of a person, the rows that it learnt tell already (data processing). A teacher is anything that writes rows: one that is
differentially private would take the same path, without the choice.

References:
    Tang et al. 2022, SELENA, arXiv 2110.08324, and Shejwalkar & Houmansadr 2019, arXiv 1906.06589: distillation against
    membership inference; Jagielski et al. 2023, arXiv 2303.03446: what still leaks, at most what the rows tell.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from clover_tvae.backends.choosing import chosen_rows, rows_to_choose_from
from clover_tvae.backends.keeping import keep_relations
from clover_tvae.backends.labelling import labelled
from clover_tvae.backends.lesson import MOST_CHECKED, MOST_PARTS_CHECKED, TEACHER_MINUTES, Lesson, ToTeach
from clover_tvae.backends.making import make_backend
from clover_tvae.backends.protocol import Backend, ReadsRows
from clover_tvae.columns.people import count_people, people_of
from clover_tvae.errors import CloverWarning, MetadataError, PrivacyWarning, warn
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import Privacy
from clover_tvae.seeds import Call, Teach, child
from clover_tvae.tables import Beyond

if TYPE_CHECKING:
    from clover_tvae.training import Checkpoint

logger = logging.getLogger(__name__)

#: Tables of fewer people have a student, unless the user says otherwise; larger ones where the check below finds a need.
STUDENT_BELOW = 10_000
#: Rows that a teacher writes for each one that it learnt, as long as they are no more than that in all. Each row of fewer than 550
#: people tells more of them, so fewer are written: half as many for each of 275 and fewer.
_ROWS_A_ROW, _MOST_ROWS, _ALL_FROM, _LEAST_PART = 20, 60_000, 550, 0.5
#: Nor more than this, however many it learnt: they are held in memory.
_MOST_IN_MEMORY = 500_000
#: Fewer people held out tell nothing.
_FEWEST_HELD_OUT = 20
#: The normal quantile that a check has to pass: one in a hundred does so by chance.
_QUANTILE = 2.33


class Membership(NamedTuple):
    """How well a likelihood tells people who were learnt from people who were not, in rows of ``n_learnt`` and ``n_held_out``.

    ``by_chance`` is the 99% quantile that the area under the ROC curve has if it tells nothing (Mann and Whitney 1947).
    """

    auc: float
    by_chance: float
    n_learnt: int
    n_held_out: int

    @property
    def is_told(self) -> bool:
        return self.auc > self.by_chance

    def __str__(self) -> str:
        return (
            f"{self.n_learnt:,} people who were learnt from {self.n_held_out:,} who were not with an AUC of {self.auc:.3f} "
            f"(by chance up to {self.by_chance:.3f})"
        )


def of_a_teacher(
    given: dict[str, Any], privacy: str | None, n_rows: int, n_people: int | None = None
) -> dict[str, Any]:
    """Return the parameters of the backend that learns a table: less time, where a student is sure to follow.

    Args:
        given: Parameters of ``TVAESynthesizer``.
        privacy: As for :func:`learnt_apart`.
        n_rows: Rows of the table.
        n_people: People of the table; ``None``: every row is one.

    Example:
        >>> of_a_teacher({"max_minutes": 5.0}, None, 600)["max_minutes"]
        3.0
    """
    if n_rows == 0 or privacy == "none" or not _can_teach(given):
        return given
    minutes, is_sure = given.get("max_minutes"), _is_sure(given, privacy, n_rows if n_people is None else n_people)
    n_written = rows_to_write(n_rows, given.get("epochs"))
    told = given | {"to_teach": ToTeach(n_written, _lesson(n_written, n_rows, minutes), is_sure)}
    return told | {"max_minutes": TEACHER_MINUTES * minutes} if is_sure and minutes is not None else told


def _lesson(n_written: int, n_learnt: int, minutes: float | None) -> Lesson:
    """Return a lesson: as many rows an epoch as were learnt, but from a number that is not exact."""
    return Lesson(math.ceil(n_written / max(1, n_written // n_learnt)), minutes)


def _is_sure(given: Mapping[str, Any], privacy: str | None, n_people: int) -> bool:
    """Whether a student will follow, whatever a check says."""
    return privacy == "student" or (privacy is None and n_people < STUDENT_BELOW and _can_teach(given))


def _can_teach(given: Mapping[str, Any]) -> bool:
    return given.get("backend") != "sdv" and given.get("decoder") != "independent"


def learnt_apart(
    backend: Backend,
    df: pd.DataFrame,
    metadata: Metadata,
    given: dict[str, Any],
    *,
    privacy: str | None,
    seed: np.random.SeedSequence,
    verbose: bool = False,
    checkpoint: Checkpoint | None = None,
    beyond: Beyond | None = None,
) -> tuple[Backend, Metadata, Privacy]:
    """Learn a table and return what is to be kept: the backend, its metadata, and what it learnt from.

    Args:
        backend: Learns the table: the teacher, where there is a student.
        df: The table.
        metadata: What its columns are.
        given: Parameters of ``TVAESynthesizer`` for the student.
        privacy: ``"student"``, ``"none"``, or ``None``: a student where the table has few people, or the check asks for one.
        seed: The user's.
        verbose: Show progress bars, and what the check of membership found.
        checkpoint: Where trainings are saved as they go, and go on from.
        beyond: All rows, where ``df`` is only a sample of them.

    Warns:
        PrivacyWarning: What is kept can tell people it was learnt from, from others, better than by chance.
    """
    started = time.monotonic() - (0.0 if checkpoint is None else checkpoint.seconds)
    how: dict[str, Any] = {"verbose": verbose, "checkpoint": checkpoint}
    backend.fit(df, metadata, seed=child(seed, Call.FIT), beyond=beyond, **how)
    kept, described, learnt_from, found = backend, metadata, Privacy(), None
    held_out, people = backend.held_out, people_of(df, metadata.unit)
    check = partial(membership, df=df, held_out=held_out, people=people)
    can_teach = _can_teach({"backend": backend.name, **backend.parameters})
    if privacy is None and can_teach and count_people(people, len(df)) >= STUDENT_BELOW:
        found = check(backend)
        privacy = "student" if found is not None and found.is_told else "none"
    if can_teach and privacy != "none":
        kept, described, n_rows = _taught(backend, df, metadata, people, given, child(seed, Call.TEACH), started, **how)
        learnt_from, found = Privacy(mode="student", written_rows=n_rows), None
    if can_teach:
        found = found or check(kept)
        outcome = "too few" if found is None else "told" if found.is_told else "not told"
        learnt_from = learnt_from.model_copy(update={"membership": outcome})
        text = f"what was learnt tells {found}"
        if found is None:
            n_held_out = count_people(None if people is None else people[held_out], len(held_out))
            text = f"{n_held_out} people were held out, too few to check whether what was learnt tells who was"
        if found is None or not found.is_told:
            logger.info(text)
            if verbose:
                tqdm.write(f"membership: {text}", file=sys.stderr)
    if found is not None and found.is_told:
        cure = "learn more people, or fewer columns" if learnt_from.mode == "student" else "use privacy='student'"
        warn(f"what was learnt tells {found}: treat the generator file as personal data, or {cure}", PrivacyWarning)
    return kept, described, learnt_from


def rows_to_write(n_rows: int, epochs: int | None = None) -> int:
    """Return how many rows a teacher writes, to two digits: the number tells no more of how many it learnt.

    Args:
        n_rows: Rows that the teacher learnt.
        epochs: Passes of the student, where the user fixed them: no more rows than it would see.

    Example:
        >>> rows_to_write(60), rows_to_write(303), rows_to_write(303, epochs=2), rows_to_write(1_500), rows_to_write(68_123)
        (600, 3400, 610, 30000, 69000)
    """
    each = _ROWS_A_ROW * min(1.0, max(_LEAST_PART, n_rows / _ALL_FROM))
    most = max(min(n_rows, _MOST_IN_MEMORY), min(math.ceil(each * n_rows), _MOST_ROWS))
    n = most if epochs is None else min(most, epochs * n_rows)
    unit = 10 ** max(0, math.floor(math.log10(n)) - 1)
    return math.ceil(n / unit) * unit


def _taught(
    teacher: Backend,
    df: pd.DataFrame,
    metadata: Metadata,
    people: NDArray[np.int64] | None,
    given: dict[str, Any],
    seed: np.random.SeedSequence,
    started: float,
    *,
    verbose: bool,
    checkpoint: Checkpoint | None,
) -> tuple[Backend, Metadata, int]:
    """Return a student that learnt rows of a teacher, the metadata with what the relations are in them, and their number."""
    n_learnt = teacher.facts["rows"]
    n_rows = rows_to_write(n_learnt, given.get("epochs"))
    learnt = np.setdiff1d(np.arange(len(df)), teacher.held_out)
    n_people = count_people(None if people is None else people[learnt], n_learnt)
    is_cut_short = teacher.facts["stopped"] == "minutes"

    def written(n: int, draw: Teach) -> pd.DataFrame:
        # Each column for itself: what a teacher leaves out, no student learns.
        frames = list(teacher.sample_frames(n, seed=child(seed, draw), steps=teacher.transform.layout.n_columns))
        # What is not learnt is named, and empty.
        return pd.concat(frames, ignore_index=True).reindex(columns=df.columns)

    rows, n_more = written(n_rows, Teach.ROWS), rows_to_choose_from(n_rows, n_people, len(df.columns)) - n_rows
    if n_more and not is_cut_short:
        more = partial(written, n_more, Teach.MORE)
        rows = chosen_rows(rows, more, df.iloc[learnt], metadata, child(seed, Teach.CHOICE))
    described, least = replace(metadata, unit=None), teacher.parameters["min_count"]
    rows, target = _emptied(rows, metadata, least), None
    if not is_cut_short:
        as_written = rows
        rows = labelled(rows, df.iloc[learnt], metadata, child(seed, Teach.TARGET), least)
        target = None if rows is as_written else metadata.variable_to_predict
    if metadata.relations is not None:  # look-up tables and ranges are learnt anew, of the written rows
        declared = tuple(relation.declared() for relation in metadata.relations)
        with contextlib.suppress(MetadataError):  # else they stay as they are: what enough people share
            described = replace(described, relations=declared).with_relations(rows, min_count=least)
    minutes = given.get("max_minutes")
    if minutes is not None:
        minutes = max(minutes - (time.monotonic() - started) / 60, (1 - TEACHER_MINUTES) * minutes)
    lesson = replace(_lesson(n_rows, n_learnt, minutes), is_cut_short=is_cut_short, target=target)
    student = keep_relations(make_backend("native", lesson=lesson, **given), described)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is rare among written rows concerns nobody
        student.fit(rows, described, seed=child(seed, Teach.STUDENT), verbose=verbose, checkpoint=checkpoint)
    return student, replace(described, unit=metadata.unit), n_rows


def _emptied(rows: pd.DataFrame, metadata: Metadata, least: int) -> pd.DataFrame:
    """Return written rows in which a column that too few of them hold to be learnt is missing throughout.

    Warns:
        CloverWarning: There is such a column, of which the table has more: the teacher has not learnt to write it.
    """
    few = []
    for column in (column for column in metadata.modelled if column.name in rows):
        cells = rows[column.name].dropna()
        is_number = column.kind in ("continuous", "datetime") or column.rest is not None
        if 0 < (len(cells) if is_number or not len(cells) else cells.value_counts().max()) < least:
            few.append(column.name)
    if few:
        rows = rows.copy()
        for name in few:
            rows[name] = rows[name].where(np.zeros(len(rows), dtype=bool))
        text = f"the teacher wrote next to no cell of {', '.join(map(repr, few))}: missing in every row; train longer (epochs, max_minutes)"
        warn(text, CloverWarning)
    return rows


def membership(
    backend: Backend, df: pd.DataFrame, held_out: NDArray[np.int64], people: NDArray[np.int64] | None = None
) -> Membership | None:
    """Return how well a backend's likelihood tells the people who were learnt from those held out.

    Args:
        backend: What was learnt.
        df: The table: rows that were learnt, and those of ``held_out``.
        held_out: Places of the rows that no weight was trained on.
        people: The number of the person of each row, whose score is the mean of their rows'; ``None``: every row is one.

    Returns:
        What was found; ``None`` where the backend reads no rows or fewer than 20 people were held out.
    """
    whose = np.arange(len(df)) if people is None else people
    if not isinstance(backend, ReadsRows) or count_people(whose[held_out], len(held_out)) < _FEWEST_HELD_OUT:
        return None
    from clover_tvae.evaluation.membership import auc  # it brings the trees of scikit-learn, which drawing needs not

    learnt = np.setdiff1d(np.arange(len(df)), held_out)
    rng = np.random.default_rng(0)
    parts = [np.sort(rng.permutation(part)[:MOST_CHECKED]) for part in (learnt, held_out)]
    rows, seed = np.concatenate(parts), np.random.SeedSequence(0)
    scores = backend.anomaly_scores(df.iloc[rows], seed=seed, most_parts=MOST_PARTS_CHECKED).iloc[:, 0].to_numpy(float)
    halves = zip(np.split(scores, [len(parts[0])]), parts, strict=True)
    learnt_scores, other_scores = (-pd.Series(half).groupby(whose[part]).mean().to_numpy() for half, part in halves)
    n, m = len(learnt_scores), len(other_scores)
    by_chance = 0.5 + _QUANTILE * math.sqrt((n + m + 1) / (12 * n * m))
    return Membership(auc(learnt_scores, other_scores), by_chance, n, m)
