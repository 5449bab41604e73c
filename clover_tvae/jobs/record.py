"""What a job left behind the last time: digests, and no cell of a table.

The record lies beside the files of the job, in ``.clover-tvae/<job file>.<job>.json``. What is about to be written is
noted as the job's own first: after a crash the next run may overwrite it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clover_tvae.files import atomic_write, inside

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
        """Return the record at ``path``, empty where there is none that can be read."""
        try:
            with path.open("rb") as file:
                content = json.loads(file.read(2**22))
            if content["format"] != _FORMAT or content["version"] != 1:
                return cls(path, job)
            outputs = {str(name): dict(entry) for name, entry in content["outputs"].items()}
            assessment = dict(content.get("assessment", {}))
            return cls(path, job, dict(content["learnt"]), content["generator"], outputs, assessment)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(path, job)

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        ignore = self.path.parent / ".gitignore"
        if not ignore.exists():
            atomic_write(ignore, lambda file: file.write(b"*\n"), mode=0o644)
        content = {key: value for key, value in vars(self).items() if key != "path"}
        text = json.dumps({"format": _FORMAT, "version": 1, **content}, indent=1, sort_keys=True)
        atomic_write(self.path, lambda file: file.write(text.encode("utf-8")))

    @contextmanager
    def training(self, learnt: Mapping[str, Any], generator: Path | None) -> Iterator[None]:
        """Note a generator once it is trained; the outputs stay ours, but were drawn from one that is gone."""
        yield
        self.learnt, self.generator = learnt, None if generator is None else file_digest(generator)
        self.outputs = {path: {**entry, "generator": "replaced"} for path, entry in self.outputs.items()}
        self._save()

    @contextmanager
    def opening(self, generator: Path) -> Iterator[None]:
        """Note a generator file once it is open."""
        yield
        digest = file_digest(generator)
        if self.generator != digest:
            self.learnt, self.generator = {}, digest
        self._save()

    @contextmanager
    def drawing(self, output: str, path: Path, asked: str) -> Iterator[None]:
        """Note an output before and after it is written."""
        entry = {"sample": asked, "generator": self.generator, "sha256": None}
        self.outputs[output] = entry
        self._save()
        yield
        entry["sha256"] = file_digest(path)
        self._save()

    @contextmanager
    def measuring(self, report: Path | None, asked: str) -> Iterator[list[str]]:
        """Note a measurement before and after it; the limits that are passed go into the list."""
        self.assessment = {"report": None}
        self._save()
        breaches: list[str] = []
        yield breaches
        written = None if report is None else file_digest(report)
        self.assessment = {"asked": asked, "generator": self.generator, "report": written, "breaches": breaches}
        self._save()


def record_path(folder: Path, file: Path, job: str) -> Path:
    """Return where the record of a job lies; job files of one name in several folders under one root keep apart."""
    name = file.name
    if file.parent.resolve() != folder:
        other = os.path.relpath(file, folder).encode("utf-8", "surrogateescape")
        name += "." + hashlib.sha256(other).hexdigest()[:8]
    return inside(folder, f".clover-tvae/{name}.{job}.json")


def file_digest(path: Path) -> str | None:
    """Return the sha256 of a file, ``None`` if it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
