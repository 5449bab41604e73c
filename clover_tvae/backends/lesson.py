"""What a teacher and its student agree on; it knows no network, so that whoever only draws need not import torch."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

#: The part of ``max_minutes`` that a teacher has where a student is sure to follow. The student has what is left, at least
#: the other part.
TEACHER_MINUTES = 0.6
#: People looked at by the check of membership, of those learnt and of those held out.
MOST_CHECKED = 2_000
#: It leaves out the columns in so many parts at most: one by one, those of a wide table would take as long as learning it.
MOST_PARTS_CHECKED = 25
#: How many times a cell of the target counts while a student learns.
TARGET_COUNTS = 4.0
#: Rows that a student draws for each one that it learnt, so that trees learn how they differ; the most cells of these, half a minute's;
#: and the rows for each learnt one below which there are too few.
_DRAWN_TO_JUDGE, _MOST_CELLS, _LEAST_DRAWN = 3, 4_000_000, 0.5


def rows_to_judge(n_rows: int, n_columns: int) -> int:
    """Return how many rows a student of ``n_rows`` draws, so that trees learn how they differ from these; 0: they are not judged.

    Example:
        >>> rows_to_judge(6_000, 35), rows_to_judge(48_000, 100), rows_to_judge(20_000, 900)
        (18000, 40000, 0)
    """
    n_drawn = min(_DRAWN_TO_JUDGE * n_rows, _MOST_CELLS // max(1, n_columns))
    return n_drawn if n_drawn >= _LEAST_DRAWN * n_rows else 0


@dataclass(frozen=True)
class Lesson:
    """What a student learns: rows that a teacher wrote.

    Args:
        n_people: About how many rows the teacher learnt; an epoch of the student has so many rows.
        minutes: Minutes that are left to the student; ``None``: there is no limit.
        is_cut_short: Whether the clock stopped the teacher.
        target: The column whose cells were drawn anew, which must not be lost once more; ``None``: there is none.
    """

    n_people: int
    minutes: float | None = None
    is_cut_short: bool = False
    target: Hashable | None = None


@dataclass(frozen=True)
class ToTeach:
    """What a teacher will teach, as far as it is known before it learns.

    Args:
        n_rows: Rows that it will write.
        lesson: What its student is taught of them; ``minutes`` are those of teacher and student together.
        is_sure: Whether the student follows, whatever a check says.
    """

    n_rows: int
    lesson: Lesson
    is_sure: bool
