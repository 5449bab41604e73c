"""Every error that clover_tvae raises on purpose, in one tree.

::

    CloverError
      + UserError                          exit 2, safe to show: quotes names, counts and dtypes, never a value of the data
      |   + MetadataError                  the description of the table is wrong
      |   + DataError                      the table does not fit its description, or cannot be learnt
      |   |   + ColumnsMismatchError       missing or extra columns
      |   |   + DuplicateColumnsError      two columns of one name
      |   |   + ColumnTypeError            a column cannot be read as the kind that it is declared to be
      |   |   + NonFiniteError             +inf or -inf in a numeric column
      |   |   + TooFewRowsError            nothing to learn from
      |   |   + IdentifierColumnError      a text column that is unique in every row
      |   |   + TableFileError             a file that is not the table it claims to be, or may not be written
      |   + ConfigError (ValueError)       a parameter or a job is wrong
      |   + ConditionError (ValueError)    conditions that no row can meet, or a value never seen in training
      |   + NotFittedError                 sample before fit
      |   + MissingExtraError (ImportError)   an optional package is not installed
      + ArtifactError (OSError)            exit 3, a generator file is refused
      |   + CorruptArtifactError           truncated, changed, or not a generator at all
      |   + UnsafeArtifactError            opening it would run code
      |   + NewerArtifactError             written by a later version
      |   + UnsupportedArtifactError       a known format that we do not read (Clover, SDV 1, a torch file)
      + TrainingError (RuntimeError)       exit 4
      |   + DivergedError                  the loss is no longer a number
      |   + OutOfMemoryError (MemoryError) there is not enough memory, to learn or for anything else
      + WorkerLostError (RuntimeError)     exit 1, the process of a piece of work was killed
      + LimitExceededError (RuntimeError)  exit 6, a figure of the evaluation is beyond its limit
    CloverWarning (UserWarning)            every warning of ours: nothing is wrong, and the user should know it
      + PrivacyWarning                     what was learnt tells who it was learnt from
      + MetadataWarning                    a column is not what it seems (``clover_tvae.metadata``)

This module knows no other module. A message says what is wrong, where, what was expected, what was found (names,
counts, dtypes: never values of the data), and how to mend it.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = [
    "MOST_PROBLEMS", "ArtifactError", "CloverError", "CloverWarning", "ColumnTypeError", "ColumnsMismatchError",
    "ConditionError", "ConfigError", "CorruptArtifactError", "DataError", "DivergedError", "DuplicateColumnsError",
    "IdentifierColumnError", "LimitExceededError", "MetadataError", "MissingExtraError", "NewerArtifactError",
    "NonFiniteError", "NotFittedError", "OutOfMemoryError", "PrivacyWarning", "Problem", "TableFileError",
    "TooFewRowsError", "TrainingError", "UnsafeArtifactError", "UnsupportedArtifactError", "UserError",
    "WorkerLostError", "collected_warnings", "data_rows", "did_you_mean", "first_of", "memory_told", "package",
    "warn",
]  # fmt: skip

#: What stands between a call of ours and the line of the user that made it: decorators of contextlib, too.
_INSIDE = (os.path.dirname(__file__) + os.sep, contextlib.__file__)


#: Problems that are told together: nobody reads more; and each takes time, as near names are looked for.
MOST_PROBLEMS = 500


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where.

    Args:
        where: The place: a column (``column 'age'``), a parameter (``epochs``), or ``job.yaml:12:5``.
        message: What was expected, what was found, how to mend it. Never a value of the data.
        kind: The error class that this problem alone would raise; ``None`` means the class that reports it.
    """

    where: str
    message: str
    kind: type[UserError] | None = None

    def __str__(self) -> str:
        # A path can hold a line break or an escape sequence, which would end the line or be obeyed.
        where = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in self.where)
        return f"{where}: {self.message}" if where else self.message


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Return ``"; did you mean 'age'?"`` for the nearest other name that is known, or an empty string.

    Example:
        >>> did_you_mean("agee", ["age", "sex"])
        "; did you mean 'age'?"
    """
    by_text = {str(candidate).casefold(): candidate for candidate in known if candidate != name}
    nearest = difflib.get_close_matches(str(name).casefold(), by_text, n=1, cutoff=0.6)
    return f"; did you mean {by_text[nearest[0]]!r}?" if nearest else ""


def data_rows(places: Sequence[int]) -> str:
    """Name rows of a table by their places, which count from 0 where people count from 1.

    Example:
        >>> data_rows([4]), data_rows([0, 1, 2, 3, 4, 5])
        ('data row 5', 'data rows 1, 2, 3, 4, 5, ...')
    """
    return f"data row{'s' * (len(places) > 1)} {first_of([place + 1 for place in places])}"


def first_of(numbers: Sequence[int]) -> str:
    """Spell the first few of some numbers.

    Example:
        >>> first_of([3, 5, 7, 8, 9, 12])
        '3, 5, 7, 8, 9, ...'
    """
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")


class CloverError(Exception):
    """Base of every error that clover_tvae raises on purpose."""

    exit_code = 1


class UserError(CloverError):
    """The input is wrong. ``problems`` holds every problem found, not just the first.

    Args:
        problems: One message, or the problems with their places.
        where: The place of the one message.
    """

    exit_code = 2

    def __init__(self, problems: str | Problem | Sequence[Problem], where: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem(where, problems, type(self))
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        told = [str(problem) for problem in self.problems]
        super().__init__(told[0] if len(told) == 1 else "\n  - ".join([f"{len(told)} problems:", *told]))

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> UserError:
        """Build the most exact error for ``problems``: their own class where they all share one, else this class."""
        kinds = {problem.kind for problem in problems}
        kind = kinds.pop() if len(kinds) == 1 else None
        return (kind or cls)(problems)

    @classmethod
    def raise_any(cls, problems: Sequence[Problem]) -> None:
        """Raise the most exact error for ``problems``, if there are any."""
        if problems:
            raise cls.of(problems)


class MetadataError(UserError):
    """The description of the table is wrong; ``columns`` are those in it that are described rightly, as far as it is known."""

    columns: tuple[Any, ...] = ()


class DataError(UserError):
    """The table does not fit its description, or cannot be learnt from."""


class ColumnsMismatchError(DataError):
    """Columns are missing, or there are columns that the metadata does not know."""


class DuplicateColumnsError(DataError):
    """Two columns share a name."""


class ColumnTypeError(DataError):
    """A column cannot be read as the kind that the metadata declares."""


class NonFiniteError(DataError):
    """A numeric column holds infinities."""


class TooFewRowsError(DataError):
    """The table has too few rows to learn from."""


class IdentifierColumnError(DataError):
    """A text column has another value in every row: an identifier, which must not be learnt."""


class TableFileError(DataError):
    """A file is not the table that it claims to be, or may not be read or written."""


class ConfigError(UserError, ValueError):
    """A parameter or a job is wrong."""


class ConditionError(UserError, ValueError):
    """No row can meet the conditions, or they name a value that was never seen in training."""


class NotFittedError(UserError):
    """The synthesizer has not learnt a table yet."""

    def __init__(self, problems: str | Problem | Sequence[Problem] = "", where: str = "") -> None:
        unfitted = "the synthesizer has not learnt a table yet; call fit() first, or load a generator"
        super().__init__(problems or unfitted, where)


class MissingExtraError(UserError, ImportError):
    """An optional package is not installed; the message holds the exact pip line."""


def package(name: str, needed_by: str, extra: str = "files") -> Any:
    """Return a package of an extra.

    Raises:
        MissingExtraError: It is not installed; with the line that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        cure = f"in the project's folder run: pip install '.[{extra}]'"
        raise MissingExtraError(f"{needed_by} needs {name}, which is not installed; {cure}") from error


class ArtifactError(CloverError, OSError):
    """A generator file is refused."""

    exit_code = 3


class CorruptArtifactError(ArtifactError):
    """The file is truncated, changed, or no generator at all."""


class UnsafeArtifactError(ArtifactError):
    """Opening the file would run code that it carries."""


class NewerArtifactError(ArtifactError):
    """The file was written by a later version of clover_tvae."""


class UnsupportedArtifactError(ArtifactError):
    """The file has a format that is known but not read here."""


class TrainingError(CloverError, RuntimeError):
    """Training failed."""

    exit_code = 4


class DivergedError(TrainingError):
    """The loss is no longer a finite number."""


class OutOfMemoryError(TrainingError, MemoryError):
    """There is not enough memory."""


#: How libraries say that memory ran out without a ``MemoryError``: torch, oneDNN, C++, Python's threads, the loader of libraries.
_NO_MEMORY = re.compile(
    r"(out of|allocate|enough) memory|(create|execute) a primitive|bad_alloc|start new thread|failed to map segment",
    re.IGNORECASE,
)


def warn(text: str, category: type[Warning]) -> None:
    """Warn on behalf of the line outside of this package that called it: that is the one its author can change."""
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(text, category, stacklevel=depth)


@contextmanager
def memory_told() -> Iterator[None]:
    """Raise ``OutOfMemoryError`` wherever memory runs out in the block, or in the function that it decorates."""
    try:
        yield
    except CloverError:
        raise
    except Exception as error:
        if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        text = "out of memory: close other programs, use fewer rows or columns at a time, or a smaller batch_size"
        raise OutOfMemoryError(text) from error


class WorkerLostError(CloverError, RuntimeError):
    """The process of a piece of work was killed, more often than it is tried again; the message tells the cure."""


class LimitExceededError(CloverError, RuntimeError):
    """A figure of the evaluation is beyond the limit that was set for it."""

    exit_code = 6


class CloverWarning(UserWarning):
    """Base of every warning of clover_tvae: what the user should know although nothing is wrong."""


@contextmanager
def collected_warnings(noted: list[str]) -> Iterator[None]:
    """Collect the text of our own warnings in ``noted``, once each; hand all others on to the filters of the user."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", category=CloverWarning)
        try:
            yield
        finally:
            noted += dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, CloverWarning))
    for other in caught:
        if not issubclass(other.category, CloverWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


class PrivacyWarning(CloverWarning):
    """What was learnt can tell, better than by chance, who it was learnt from, or may hold values of single people."""
