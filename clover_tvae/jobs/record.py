"""What a job left behind the last time: digests, and no cell of a table.

The record lies beside the files of the job, in ``.clover-tvae/<job file>.<job>.json``. What is about to be written is
noted as the job's own first: after a crash the next run may overwrite it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clover_tvae.files import atomic_write, inside, unmoved

__all__ = ["Record", "file_digest", "record_path"]

_FORMAT = "clover-tvae-job-record"


@dataclass
class Record:
    """The record of one job; an empty one costs only work.

    Args:
        path: Where it lies.
        job: Name of the job.
        learnt: Digests of data and metadata and the parameters, as they were when the generator was trained.
        generator: sha256 of the generator file; ``None`` if the job keeps none.
        outputs: For each output path: ``sample``, the digest of what was asked for; ``generator``, that of what drew
            it; ``sha256`` of the file, ``None`` while it is being written.
        assessment: ``asked``, the digest of what was to be measured; ``generator``, that of what was; ``report``, the
            digest of the file; ``breaches``, a sentence for each limit that was passed. Empty before any.
    """

    path: Path
    job: str
    learnt: Mapping[str, Any] = field(default_factory=dict)
    generator: str | None = None
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    assessment: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, job: str) -> Record:
        """Return the record at ``path``, empty where there is none that can be read.

        Raises:
            TableFileError: A symbolic link made since the check leads it elsewhere.
        """
        try:
            with unmoved(path).open("rb") as file:
                content = json.loads(file.read(2**22))
            if content["format"] != _FORMAT or content["version"] != 1:
                return cls(path, job)
            outputs = {str(name): dict(entry) for name, entry in content["outputs"].items()}
            assessment = dict(content.get("assessment", {}))
            return cls(path, job, dict(content["learnt"]), content["generator"], outputs, assessment)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(path, job)

    def save(self) -> None:
        """Write the record."""
        ignore = unmoved(self.path).parent / ".gitignore"
        ignore.parent.mkdir(parents=True, exist_ok=True)
        if not unmoved(ignore).exists():
            atomic_write(ignore, lambda file: file.write(b"*\n"), mode=0o644)
        content = {key: value for key, value in vars(self).items() if key != "path"}
        text = json.dumps({"format": _FORMAT, "version": 1, **content}, indent=1, sort_keys=True)
        atomic_write(self.path, lambda file: file.write(text.encode("utf-8")))

    def note_training(self, learnt: Mapping[str, Any], generator: str | None) -> None:
        """Note a generator that has been trained; the outputs stay ours, but were drawn from one that is gone."""
        self.learnt, self.generator = learnt, generator
        self.outputs = {path: {**entry, "generator": "replaced"} for path, entry in self.outputs.items()}
        self.save()

    def note_opening(self, generator: str | None) -> None:
        """Note a generator file that has been opened."""
        if self.generator != generator:
            self.learnt, self.generator = {}, generator
        self.save()


def record_path(folder: Path, file: Path, job: str) -> Path:
    """Return where the record of a job lies; job files of one name in several folders under one root keep apart."""
    name = file.name
    if file.parent.resolve() != folder:
        other = os.path.relpath(file, folder).encode("utf-8", "surrogateescape")
        name += "." + hashlib.sha256(other).hexdigest()[:8]
    return inside(folder, f".clover-tvae/{name}.{job}.json")


def file_digest(path: Path | None) -> str | None:
    """Return the sha256 of a file, ``None`` if it is not there."""
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
