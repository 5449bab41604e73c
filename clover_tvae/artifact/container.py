"""One verified file: the container, its header, its digest, and the folder that it lies in.

This module knows files and the parts of the container. It knows no class of ours: the inside of a part is its owner's.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from clover_tvae.artifact.foreign import EXPECTED, HEAD_BYTES, MAGIC, foreign
from clover_tvae.artifact.plain import decode, encode, only_our_errors
from clover_tvae.errors import (
    ArtifactError,
    ConfigError,
    CorruptArtifactError,
    NewerArtifactError,
    TableFileError,
    UnsupportedArtifactError,
)
from clover_tvae.files import atomic_write

GENERATOR = "clover-tvae-generator"
FORMAT_VERSION = 2
MAX_BYTES = 4 * 2**30

_DIGEST_KEY = b"\x8c\x06sha256\x8c\x40"
_END = b"u."
_TAIL_BYTES = len(_DIGEST_KEY) + 64 + len(_END)
_TAIL = re.compile(re.escape(_DIGEST_KEY) + rb"([0-9a-f]{64})" + re.escape(_END))
# The digest of a larger file is checked before the file is held in memory, and once more when it is.
_LARGE_BYTES = 32 * 2**20


class _Container(BaseModel):
    """The parts, in their order. A part that a later feature adds is a field with a default: a file may lack it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: Literal["clover-tvae-generator"]
    format_version: Literal[2]
    writer: dict[str, str]
    metadata: dict[str, Any]
    transforms: dict[str, Any]
    model: dict[str, Any]
    weights: bytes
    training: dict[str, Any]
    privacy: dict[str, Any] | None
    relations: dict[str, Any] | None = None
    sha256: str


# Version v -> a function from the content of version v to that of v + 1. Files of an older format stay readable.
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Version 1 did not keep how cells are drawn.
    1: lambda content: {**content, "training": {**content["training"], "decode": "sample"}}
}


def writer_versions() -> dict[str, str]:
    """Return the versions of the packages that would write a file now: its ``writer`` part."""
    versions = {"python": platform.python_version()}
    for package in ("clover-tvae", "numpy", "pandas", "torch", "safetensors"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package.replace("-", "_")] = importlib.metadata.version(package)
    return versions


def dump_artifact(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a generator file.

    Args:
        content: ``metadata``, ``transforms``, ``model``, ``weights``, ``training`` and ``privacy``: plain data only.
            ``writer`` is filled in where it is missing; ``format``, ``format_version`` and ``sha256`` always are.

    Returns:
        The file. Equal content gives equal bytes, in every process.

    Raises:
        TypeError: A value is not plain; the message holds its path. This is a bug of the caller.
        ValueError: A part is missing or unknown, an int has more than 255 bytes, or there are too many values
            or levels.

    Example:
        >>> parts = {"metadata": {}, "transforms": {}, "model": {}, "weights": b"", "training": {}, "privacy": None}
        >>> parse_artifact(dump_artifact(parts))["format"]
        'clover-tvae-generator'
    """
    given = {"format": GENERATOR, "writer": writer_versions(), **content, "format_version": FORMAT_VERSION}
    given.pop("sha256", None)
    whole = {part: given.pop(part) for part in _Container.model_fields if part in given} | given
    if problems := _schema_problems({**whole, "sha256": ""}):
        raise ValueError("the content of a generator file is wrong: " + "; ".join(problems))
    encoded = encode(whole)
    digest = hashlib.sha256(encoded).hexdigest()
    return bytes(encoded[: -len(_END)] + _DIGEST_KEY + digest.encode("ascii") + _END)


def write_artifact(path: str | os.PathLike[str], content: Mapping[str, Any]) -> str:
    """Write a generator file as one step: afterwards there is the whole new file, or the old one untouched.

    The bytes go to a temporary file beside ``path`` (mode 0600), are flushed to the disk, read back and verified, and
    only then renamed.

    Args:
        path: The file. Its folder must exist; an existing file is replaced.
        content: As for :func:`dump_artifact`.

    Returns:
        The digest (sha256, 64 hex digits) to keep and to hand to :func:`read_artifact`.

    Raises:
        ArtifactError: The file cannot be written (no such folder, no right to write, disk full), or did not come back
            from the disk as it was written.
        TypeError, ValueError: As for :func:`dump_artifact`.
    """
    data = dump_artifact(content)
    digest = data[-_TAIL_BYTES + len(_DIGEST_KEY) : -len(_END)].decode("ascii")
    try:
        atomic_write(
            Path(path),
            lambda file: file.write(data),
            verify=lambda written: read_artifact(written, expected_sha256=digest, max_bytes=len(data)),
        )
    except TableFileError as error:
        raise ArtifactError(f"{error}. Check that the folder exists, may be written to, and has space") from error
    return digest


def read_artifact(
    path: str | os.PathLike[str], expected_sha256: str | None = None, max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """Read a generator file, verified, without ever running code from it.

    Args:
        path: A regular file (or a link to one).
        expected_sha256: The digest that :func:`write_artifact` returned; ``None`` compares only with the one inside.
        max_bytes: Larger files are refused unread.

    Returns:
        The content, ``format`` to ``sha256``. The parts inside are plain data, to be checked by their owners.

    Raises:
        CorruptArtifactError: Truncated, changed, too large, or no generator at all.
        UnsafeArtifactError: A pickle that would run code.
        NewerArtifactError: Written by a later version.
        UnsupportedArtifactError: A known other format, such as a torch file.
        ArtifactError: The file cannot be opened.
        ConfigError: ``expected_sha256`` is no digest.
    """
    name = os.fspath(path)
    with only_our_errors(name):
        data = _read_file(name, max_bytes, _as_digest(expected_sha256))
        return parse_artifact(data, expected_sha256=expected_sha256, name=name)


def parse_artifact(data: bytes, *, expected_sha256: str | None = None, name: str = "the file") -> dict[str, Any]:
    """Read the bytes of a generator file: as :func:`read_artifact`, which says what is raised.

    Args:
        data: The whole file.
        expected_sha256: The digest that the content must have, or ``None``.
        name: How errors call the file.
    """
    expected = _as_digest(expected_sha256)
    with only_our_errors(name):
        if not data.startswith(MAGIC):
            raise foreign(data[:HEAD_BYTES], len(data), name)
        _check_header(data, name)
        found, told = _digest_of([memoryview(data)[:-_TAIL_BYTES]]), data[-_TAIL_BYTES:]
        if told != _DIGEST_KEY + found.encode("ascii") + _END:
            decode(data, name)  # may know better: truncated here, appended to, code put in
        _check_digest(told, found, expected, name)
        content = _upgrade(decode(data, name), name)
        if problems := _schema_problems(content):
            raise CorruptArtifactError(f"{name} is no valid generator file: " + "; ".join(problems))
        return content


def _as_digest(expected_sha256: str | None) -> str | None:
    expected = None if expected_sha256 is None else str(expected_sha256).strip().lower()
    if expected is not None and not re.fullmatch(r"[0-9a-f]{64}", expected):
        text = "must be the 64 hex digits that saving the generator gave"
        raise ConfigError(f"{text}, found {len(expected)} characters of another form", "expected_sha256")
    return expected


def _read_file(name: str, max_bytes: int, expected: str | None) -> bytes:
    """Return the whole file; of a foreign one read only its start, and of a large one that is damaged hold no more."""
    # Opening a pipe or a device can block or act: look first, and look again at what was opened.
    _check_file(os.stat(name), name, max_bytes)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(name, flags), "rb") as file:
        n_bytes = _check_file(os.fstat(file.fileno()), name, max_bytes)
        head = file.read(min(n_bytes, HEAD_BYTES))
        if not head.startswith(MAGIC):
            raise foreign(head, n_bytes, name)
        if n_bytes > _LARGE_BYTES:
            _check_header(head, name)
            file.seek(n_bytes - _TAIL_BYTES)
            told = _TAIL.fullmatch(file.read())
            if told is None:
                raise CorruptArtifactError(f"{name} is truncated or damaged: it does not end in its digest")
            _check_digest(told[0], told[1].decode("ascii"), expected, name)
            file.seek(0)
            chunks = (file.read(min(2**20, left)) for left in range(n_bytes - _TAIL_BYTES, 0, -(2**20)))
            _check_digest(told[0], _digest_of(chunks), expected, name)
            file.seek(len(head))
        data = head + file.read(n_bytes - len(head) + 1)
    if len(data) != n_bytes:
        raise CorruptArtifactError(f"{name} changed while it was read: try again when nobody writes to it")
    return data


def _check_file(status: os.stat_result, name: str, max_bytes: int) -> int:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        raise UnsupportedArtifactError(f"{name} is {what}. {EXPECTED}")
    if status.st_size > max_bytes:
        raise CorruptArtifactError(
            f"{name} has {status.st_size:,} bytes, at most {max_bytes:,} are read; raise max_bytes if it is meant"
        )
    return status.st_size


# How every format starts: format, format_version, writer.
_HEADER = re.compile(
    re.escape(MAGIC)
    + rb"(?s:.)(?P<format>clover-tvae-[a-z]{1,40})\x8c\x0eformat_version"
    + rb"(?s:K(?P<one>.)|M(?P<two>..)|J(?P<four>....))"
)
_WRITER = re.compile(rb"\x8c\x0bclover_tvae\x8c(?s:.)([0-9A-Za-z.+-]{1,40})")


def _check_header(data: bytes, name: str) -> None:
    """Refuse a later version by name, before the rest is held against today's rules."""
    header = _HEADER.match(data)
    if header is None:
        raise CorruptArtifactError(f"{name} is damaged: its first entries are not format and format_version")
    found = header["format"].decode("ascii")
    if found != GENERATOR:
        raise CorruptArtifactError(f"{name} is damaged: its format must be {GENERATOR!r}, found {found!r}")
    version = int.from_bytes(header["one"] or header["two"] or header["four"], "little", signed=bool(header["four"]))
    if version > FORMAT_VERSION:
        writer = _WRITER.search(data, header.end(), header.end() + 4096)
        by = f"clover_tvae {writer[1].decode('ascii')}" if writer else "a later clover_tvae"
        raise NewerArtifactError(
            f"{name} has format version {version}, written by {by}; this clover_tvae reads up to version "
            f"{FORMAT_VERSION}. Install that version of clover_tvae or a later one"
        )
    if version < 1:
        raise CorruptArtifactError(f"{name} is damaged: there is no format version {version}")


def _digest_of(chunks: Iterable[bytes | memoryview]) -> str:
    """Return the digest of a file that is handed over without its last entry, which is the digest."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
    hasher.update(_END)
    return hasher.hexdigest()


def _check_digest(told: bytes, found: str, expected: str | None, name: str) -> None:
    """Compare the digest of a content with what the last bytes of its file tell, and with the one that is expected."""
    if told != _DIGEST_KEY + found.encode("ascii") + _END:
        raise CorruptArtifactError(
            f"{name} was changed or damaged after it was saved: its content has sha256 {found}, "
            "not the one that it was saved with; copy it again from its source, or fit again"
        )
    if expected is not None and found != expected:
        raise CorruptArtifactError(
            f"{name} is not the file that was expected: its sha256 is {found}, expected {expected}"
        )


def _upgrade(content: dict[str, Any], name: str) -> dict[str, Any]:
    """Lift the content of an older format to today's, step by step."""
    for found in range(content["format_version"], FORMAT_VERSION):
        if found not in _UPGRADES:
            raise UnsupportedArtifactError(
                f"{name} has format version {found}, which this clover_tvae no longer reads; expected {FORMAT_VERSION}"
            )
        content = {**_UPGRADES[found](content), "format_version": found + 1}
    return content


def _schema_problems(content: Mapping[str, Any]) -> list[str]:
    try:
        _Container.model_validate(content)
    except ValidationError as error:
        # The text of a key comes from the file: ascii() and a limit keep terminals and logs whole.
        return [
            f"{'.'.join(ascii(step)[1:-1] if isinstance(step, str) else str(step) for step in problem['loc'])[:80]}: "
            f"{problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False, include_context=False)[:10]
        ]
    return []
