"""A generator: a table that a backend learnt, with its metadata and seed; and the generator file that holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from clover_tvae.artifact import read_artifact, write_artifact, writer_versions
from clover_tvae.backends.making import load_backend
from clover_tvae.backends.native_parts import unpacked
from clover_tvae.backends.protocol import Backend, ReadsRows, reading
from clover_tvae.backends.teaching import rows_to_write
from clover_tvae.errors import ArtifactError, CloverWarning, DataError, MetadataError, Problem, UserError, warn
from clover_tvae.metadata import Metadata
from clover_tvae.metadata.readings import read_names
from clover_tvae.parameters import Privacy, Seed, listed
from clover_tvae.relations.document import relation_texts

#: The extremes of the very table lie outside of its ranges (4% of 150 numbers), and more cells are of categories of few people.
_MOST_OUTSIDE, _MOST_RARE = 0.2, 0.5
_MORE = 1.05  # times the rows of a table: more were not learnt from it alone


class _Training(BaseModel):
    """The file's part ``training``: what is known beside the backend's own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    random_state: Seed | None
    n_columns: Annotated[int, Field(ge=0)]
    decode: Literal["sample", "stratified", "argmax"]
    backend: dict[str, Any]


@dataclass(frozen=True)
class Generator:
    """What was learnt.

    Args:
        backend: What learnt the table.
        n_columns: Columns of the table that was given.
        decode: How cells are drawn where the caller does not say.
        privacy: What it learnt from; ``None`` in files before version 0.2.
        writer: The versions that wrote its file; those of now before it is written.
        sha256: The digest of its file; ``None`` before it is written.
    """

    backend: Backend
    metadata: Metadata
    n_columns: int
    random_state: int | None
    decode: str
    privacy: Privacy | None = None
    writer: Mapping[str, str] = field(default_factory=writer_versions)
    sha256: str | None = None

    def save(self, path: Path) -> Generator:
        """Write the generator file, and return the generator that knows its digest."""
        parts = self.backend.state()
        training = {name: getattr(self, name) for name in ("random_state", "n_columns", "decode")}
        content = {
            **parts,
            "metadata": self.metadata.to_dict(),
            "training": {**training, "backend": parts["training"]},
            "privacy": None if self.privacy is None else self.privacy.model_dump(),
            "writer": dict(self.writer),
        }
        try:
            return replace(self, sha256=write_artifact(path, content))
        except ValueError as error:
            text = f"{path} cannot be written: the generator is larger than a file may be: {error}"
            raise ArtifactError(text) from None

    @classmethod
    def load(
        cls, path: Path, *, expected_sha256: str | None = None, device: str = "cpu", trust_pickle: bool = False
    ) -> Generator:
        """Open a generator file.

        Raises:
            ArtifactError: The file is refused.
        """
        content = read_artifact(path, expected_sha256=expected_sha256)
        with reading("training"):
            training = _Training.model_validate(content["training"])
        parts = {**content, "training": training.backend}
        backend = load_backend(parts, device=device, trust_pickle=trust_pickle)
        with reading("metadata"):
            metadata = Metadata.of(content["metadata"])
            # Columns that the metadata did not declare were left out; those that are dropped may have been absent.
            needed = {*backend.kinds, *(c.name for c in metadata.columns if c.modelled or c.regenerate is not None)}
            declared = {column.name: column.kind for column in metadata.columns if column.name in needed}
            if backend.kinds != dict.fromkeys(backend.kinds, "ignore") | declared:
                raise ValueError("it contradicts what was learnt")
        with reading("privacy"):
            plain = content["privacy"]
            privacy = None if plain is None else Privacy.model_validate(plain)
        known = training.model_dump(exclude={"backend"})
        return cls(backend, metadata, **known, privacy=privacy, writer=content["writer"], sha256=content["sha256"])

    def check_agrees(
        self, df: pd.DataFrame | None, metadata: Any, given: Mapping[str, Any], n_rows: int | None = None
    ) -> None:
        """Compare the file with what is given beside it: another table is an error, another parameter a warning.

        Of a table of ``n_rows`` rows ``df`` may be a sample.

        Raises:
            MetadataError: The metadata is another.
            DataError: The table lacks columns.
        """
        problems = []
        if metadata is not None and not self._is_described_by(Metadata.of(metadata)):
            cure = "differs from the generator's own; leave it out, or delete the generator to learn the table anew"
            problems.append(Problem("metadata", cure, MetadataError))
        modelled = {column.name for column in self.metadata.columns if column.kind not in ("id", "ignore")}
        if df is not None and (
            lacking := sorted(map(repr, modelled - {*read_names(self.metadata.columns, df.columns)}))
        ):
            text = f"lacks columns that the generator learnt: {', '.join(lacking)}"
            problems.append(Problem("df", text, DataError))
        DataError.raise_any(problems)
        learnt = self.backend.parameters
        used = "the generator file is there and is used as it was trained"
        if df is not None and (texts := self.told_apart(df, n_rows)):
            cure = "delete it, or give another generator_filepath, to learn this one"
            warn(f"{used}, on another table than the one given: {'; '.join(texts)}; {cure}", CloverWarning)
        if others := [name for name, value in listed(given).items() if name in learnt and value != learnt[name]]:
            cure = "" if df is None else "; delete it, or give another generator_filepath, to train anew"
            warn(f"{used}, with other values of {', '.join(others)}{cure}", CloverWarning)

    def told_apart(self, df: pd.DataFrame, n_rows: int | None = None) -> list[str]:
        """Say how a table differs from the one that was learnt, as far as the file tells; tables that are alike pass.

        Of a table of ``n_rows`` rows ``df`` may be a sample.

        The file holds no digest of the rows, which would tell who holds a copy of them: numbers of rows and columns, and
        how many cells lie outside of what was learnt, are compared.
        """
        texts, n_rows, privacy = [], n_rows or len(df), self.privacy or Privacy()
        try:
            df = self.metadata.read(df)
        except UserError as error:
            return [str(problem) for problem in error.problems]
        if not n_rows:
            return ["it learnt rows, here are none"]
        if privacy.mode == "student":
            epochs = self.backend.parameters.get("epochs")
            if privacy.written_rows not in (rows_to_write(n_rows), rows_to_write(n_rows, epochs)):
                texts.append(f"its number of rows, {n_rows:,}, is not that of the rows behind it")
        elif n_rows != self.backend.facts.get("rows"):
            texts.append(f"it learnt {self.backend.facts.get('rows'):,} rows, these are {n_rows:,}")
        if len(df.columns) != self.n_columns:
            texts.append(f"it learnt {self.n_columns} columns, these are {len(df.columns)}")
        if isinstance(self.backend, ReadsRows) and n_rows:
            numbers = self.metadata.of_kind("continuous", "datetime")
            try:
                shares = {name: n / len(df) for name, n in self.backend.outside(df).items() if name in df}
            except UserError as error:
                return texts + [str(problem) for problem in error.problems]
            texts += [
                f"column {name!r} has {share:.0%} of its cells outside of what was learnt"
                for name, share in shares.items()
                if share > (_MOST_OUTSIDE if name in numbers else _MOST_RARE)
            ]
        return texts

    def learnt_more(self, n_rows: int) -> str:
        """Say that clearly more rows were learnt than a table has, which so is not all that was learnt; else nothing.

        The file of a student tells of how many rows at least its own were written, to two digits: they are judged by that.
        """
        privacy, n_learnt, most = self.privacy or Privacy(), self.backend.facts.get("rows"), math.ceil(_MORE * n_rows)
        if not n_rows or n_learnt is None:
            return ""
        if privacy.mode == "student":
            is_more, learnt = (privacy.written_rows or 0) > rows_to_write(most), "the generator learnt"
        else:
            is_more, learnt = n_learnt > most, f"the {n_learnt:,} that the generator learnt"
        told = f"{n_rows:,} rows of the real table are fewer than {learnt}: those held out may be among them"
        return f"{told}; nothing can be judged by the holdout." if is_more else ""

    def _is_described_by(self, metadata: Metadata) -> bool:
        """Whether the metadata says the same; relations that it does not tell, or has not learnt, are the file's own."""
        if metadata.relations is None:
            return replace(self.metadata, relations=None) == metadata
        own = self.metadata.relations or ()
        same = [said in (learnt, learnt.declared()) for said, learnt in zip(metadata.relations, own, strict=False)]
        return len(own) == len(metadata.relations) and all(same) and replace(metadata, relations=own) == self.metadata

    @property
    def meaning(self) -> str:
        """What it learnt from, in words."""
        return (self.privacy or Privacy()).meaning(self.backend.parameters)

    def card(self) -> dict[str, Any]:
        """Return what was learnt on what, as plain data: the model card."""
        history, metadata = self.backend.history, self.metadata.to_dict()
        return _card(
            self.backend.name,
            known=vars(self),
            metadata=metadata | {"relations": relation_texts(metadata.get("relations"))},
            parameters=self.backend.parameters,
            training={**self.backend.facts, "epochs": len(history), "last": history[-1] if history else None},
            privacy=self.privacy,
        )


def card_of_file(path: Path, expected_sha256: str | None = None) -> dict[str, Any]:
    """Return the card of the generator in a file without building the model, and whether it opens without running code.

    Neither torch nor a pickle is touched, so of the parts only what is read here is checked to be what it must be.

    Raises:
        ArtifactError: The file is refused.
    """
    content = read_artifact(path, expected_sha256=expected_sha256)
    training, model, inner = content["training"], content["model"], _mapping(content["training"], "backend")
    history: Any = None
    with suppress(ValueError):
        history = unpacked(inner.get("history", inner.get("losses")))
    privacy = None
    with suppress(ValueError):
        privacy = Privacy.model_validate(content["privacy"] or {})
    relations: list[str] = []
    with suppress(ValueError, TypeError):
        relations = relation_texts(content["metadata"].get("relations"))
    card = _card(
        model.get("backend"),
        known={**training, "writer": content["writer"], "sha256": content["sha256"]},
        metadata={**content["metadata"], "relations": relations},
        parameters=_mapping(inner, "parameters") or _mapping(model, "parameters"),
        training={**_mapping(inner, "facts"), "epochs": len(history) if isinstance(history, list) else None},
        privacy=privacy,
    )
    return card | {"opens_without_running_code": not model.get("pickle", False)}


def _mapping(part: Any, key: str) -> dict[str, Any]:
    value = part.get(key) if isinstance(part, dict) else None
    return value if isinstance(value, dict) else {}


def _card(
    backend: Any, known: Mapping[str, Any], metadata: Any, parameters: Any, training: Any, privacy: Privacy | None
) -> dict[str, Any]:
    return {
        "package": "clover_tvae",
        "backend": backend,
        "writer": dict(known["writer"]),
        **{name: known.get(name) for name in ("sha256", "random_state", "decode")},
        "metadata": metadata,
        "rows": training.get("rows"),
        "columns": known.get("n_columns"),
        "parameters": parameters,
        "training": training,
        "privacy": (privacy or Privacy()).told(parameters),
    }
