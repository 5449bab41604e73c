"""What a job left behind the last time: digests, and no cell of a table.

The record lies beside the files of the job, in ``.clover-tvae/<job file>.<job>.json``. What is about to be written is
noted as the job's own first: after a crash the next run may overwrite it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from clover_tvae.errors import ConfigError
from clover_tvae.files import inside, locked, remove_left, unmoved, write_text


class Record(BaseModel):
    """The record of one job; an empty one costs only work.

    Args:
        learnt: Digests of data and metadata and the parameters, as they were when the generator was trained.
        generator: sha256 of the generator file; ``None`` if the job keeps none.
        outputs: For each output path: ``sample``, the digest of what was asked for; ``generator``, that of what drew
            it; ``seed``, that of its rows; ``sha256`` of the file, ``None`` while it is being written; ``place`` of a table,
            the digest of where it is; ``rows`` that were asked for there, ``first_id`` of them, and ``appended``, how many of their kind stand.
        assessment: ``asked``, the digest of what was to be measured; ``generator``, that of what was; ``report``,
            ``dossier`` and ``json``, the digests of the files; ``breaches``, a sentence for each limit that was passed. Empty before any.
    """

    format: Literal["clover-tvae-job-record"]
    version: Literal[1]
    job: str
    learnt: dict[str, Any] = {}
    generator: str | None = None
    outputs: dict[str, dict[str, Any]] = {}
    assessment: dict[str, Any] = {}
    _path: Path = Path()

    @classmethod
    def load(cls, path: Path, job: str) -> Record:
        """Return the record at ``path``, empty where there is none that can be read.

        Raises:
            TableFileError: A symbolic link made since the check leads it elsewhere.
        """
        try:
            record = cls.model_validate_json(unmoved(path).read_bytes())
        except (OSError, ValidationError):
            record = cls(format="clover-tvae-job-record", version=1, job=job)
        record._path = path
        return record

    def save(self) -> None:
        """Write the record."""
        folder = unmoved(self._path).parent
        folder.mkdir(parents=True, exist_ok=True)
        if not unmoved(folder / ".gitignore").exists():
            write_text(folder / ".gitignore", "*\n", mode=0o644)
        write_text(self._path, self.model_dump_json(indent=1))

    def note_training(self, learnt: Mapping[str, Any], generator: str | None) -> None:
        """Note a generator that has been trained; the outputs stay ours, but were drawn from one that is gone."""
        self.learnt, self.generator = dict(learnt), generator
        self.outputs = {path: {**entry, "generator": "replaced"} for path, entry in self.outputs.items()}
        self.save()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the job whose record is at ``path`` for this process alone, by a lock on an empty file beside it.

    The file goes at the end, however that comes, and the folder too if nothing else is in it.

    Raises:
        ConfigError: Another process has it.
    """
    lock = unmoved(path.with_suffix(".lock"))
    try:
        with locked(lock, make=True) as is_held:
            if is_held is False:
                text = "must be run by one process at a time, found another process at it; wait for its end"
                raise ConfigError(text, "job")
            yield  # also where nothing can be written: nobody else will write
    finally:
        let_go(path)


def let_go(path: Path) -> None:
    """Take away the lock of the job whose record is at ``path`` if no process holds it, and the folder if it is empty then."""
    lock = path.with_suffix(".lock")
    remove_left(lock.parent, re.escape(lock.name))
    with suppress(OSError):
        lock.parent.rmdir()


def record_path(folder: Path, file: Path, job: str) -> Path:
    """Return where the record of a job lies; job files of one name in several folders under one root keep apart."""
    name = file.name
    if file.parent.resolve() != folder:
        other = os.path.relpath(file, folder).encode("utf-8", "surrogateescape")
        name += "." + hashlib.sha256(other).hexdigest()[:8]
    return inside(folder, f".clover-tvae/{name}.{job}.json")
