"""What became of jobs: their results, errors and warnings, and the summary of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from clover_tvae.errors import CloverError

OUR_BUG = (
    "this is a bug of clover_tvae, not of your input; please report it with the output of the same command and --debug, "
    "after you have checked that it holds no data of yours"
)
SUMMARY_FORMAT = "clover-tvae-summary"
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

    @classmethod
    def of(cls, error: Exception) -> JobError:
        """Return what the user is told of ``error``: of a foreign one only its kind, because its text may quote data."""
        kind = type(error).__name__
        if isinstance(error, CloverError):
            return cls(kind, str(error), error.exit_code)
        return cls(kind, f"{kind}: {OUR_BUG}", 1)


@dataclass(frozen=True)
class JobResult:
    """What became of a job.

    Args:
        reason: Why it was done, or why not.
        trained: Whether a table was learnt, rather than a generator opened.
        generator: The generator file, as the job file calls it.
        sha256: The digest of the generator that was written or opened; hand it to ``load(expected_sha256=...)``.
        outputs: The files that were written.
        rows: Rows drawn, all outputs together.
        warnings: What the user should know although it went well.
        error: Why it failed, if it did.
        report: The report that was written, as the job file calls it.
        dossier: The dossier, too.
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
    dossier: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return the result as dicts, tuples, text and numbers."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


def exit_code(results: Sequence[JobResult]) -> int:
    """Return 0 if no job failed, else the exit code of the first that did."""
    return next((result.error.exit_code for result in results if result.error is not None), 0)


def summary(results: Sequence[JobResult]) -> dict[str, Any]:
    """Return the results as plain data for machines.

    Example:
        >>> summary([JobResult("a", "jobs.yaml", "up to date")])["counts"]
        {'done': 0, 'up to date': 1, 'failed': 0, 'skipped': 0}
    """
    return {
        "format": SUMMARY_FORMAT,
        "version": 1,
        "exit_code": exit_code(results),
        "counts": {status: sum(result.status == status for result in results) for status in get_args(Status)},
        "jobs": [result.to_plain() for result in results],
    }
