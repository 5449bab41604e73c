"""A folder of parts: one table in several files, and the manifest that says which of them belong together.

``_parts.json`` is written twice: before the first part takes its name it says that the folder is not whole, and last of
all it lists the parts. Whoever finds it otherwise finds parts of two tables mixed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clover_tvae.errors import TableFileError
from clover_tvae.files import file_digest, read_text, write_text
from clover_tvae.tables.places import Store

# Readers of whole folders, such as pyarrow, pass over names that begin so.
MANIFEST = "_parts.json"
_FORMAT = "clover-tvae-parts"
_PART = re.compile(r"part-[0-9]{5,}\.(csv|csv\.gz|tsv|tsv\.gz|parquet|pq|feather)")

_ENDS = {".csv": b"\n", ".tsv": b"\n", ".parquet": b"PAR1", ".pq": b"PAR1", ".feather": b"ARROW1"}


def is_part(name: str) -> bool:
    """Tell the name of a part."""
    return _PART.fullmatch(name) is not None


def is_whole(part: Path) -> bool:
    """Return whether a part is there and ends as its kind of file does; of a compressed one the end says nothing."""
    end = _ENDS.get(part.suffix, b"")
    if not part.is_file():
        return False
    with part.open("rb") as file:
        file.seek(max(0, part.stat().st_size - len(end)))
        return file.read(len(end)) == end


def old_parts(folder: Path) -> list[Path]:
    """Return the parts of an earlier drawing that lie in a folder."""
    return [path for path in folder.iterdir() if _PART.fullmatch(path.name)] if folder.is_dir() else []


def part_name(index: int, suffix: str) -> str:
    """Return the name of a part.

    Example:
        >>> part_name(7, ".parquet")
        'part-00007.parquet'
    """
    return f"part-{index:05d}{suffix}"


def write_manifest(
    folder: Path,
    parts: Sequence[Path] | None,
    name: str | None = None,
    *,
    digests: Mapping[str, str] | None = None,
    counts: Sequence[int] | None = None,
) -> None:
    """Say which files are the parts of a folder, in their order; ``None``: they are being put in place.

    Args:
        name: What tells these very parts from those of other rows, if anything is to.
        digests: The digest of each name, as far as they are known; the others are computed.
        counts: How many rows stand in each part, if that is known.
    """
    known: Mapping[str, str] = digests or {}
    found = None if parts is None else {part.name: known.get(part.name) or str(file_digest(part)) for part in parts}
    write_text(folder / MANIFEST, manifest_text(found, name, counts), mode=0o666)


def manifest_text(
    digests: Mapping[str, str] | None, name: str | None = None, counts: Sequence[int] | None = None
) -> str:
    """Return what the manifest says: the digest of each part by its name, in the order of the rows; see :func:`write_manifest`."""
    listed: list[dict[str, Any]] | None = None
    if digests is not None:
        listed = [{"name": part, "sha256": digest} for part, digest in digests.items()]
        for entry, n_rows in zip(listed, counts or (), strict=False):
            entry["rows"] = n_rows
    plain: dict[str, Any] = {"format": _FORMAT, "version": 1, "is_whole": digests is not None, "parts": listed}
    plain |= {} if name is None else {"name": name}
    return json.dumps(plain, indent=1) + "\n"


def _manifest(folder: Path | Store) -> dict[str, Any] | None:
    try:
        text = read_text(folder / MANIFEST, 2**26) if isinstance(folder, Path) else folder.read(MANIFEST).decode()
        found = json.loads(text)
    except (TableFileError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("format") == _FORMAT else None


def name_of(folder: Path | Store, *, is_whole: bool = True) -> str | None:
    """Return the name that the parts of a folder were written under, if they are whole (or are not, yet) and have one."""
    found = _manifest(folder) or {}
    return found.get("name") if found.get("is_whole") is is_whole else None


def is_broken_off(folder: Path | Store) -> bool:
    """Return whether a run ended while it put its parts into a folder."""
    found = _manifest(folder)
    return found is not None and found.get("is_whole") is not True


def parts_of(folder: str | Path) -> list[Path]:
    r"""Return the files of a folder of parts, in the order of the rows, if they are one whole table.

    Raises:
        TableFileError: The folder has no manifest, its parts were never all written, or one is another file now.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Path(name)
        ...     _ = (folder / "part-00000.csv").write_text("age\n30\n")
        ...     write_manifest(folder, [folder / "part-00000.csv"])
        ...     [part.name for part in parts_of(folder)]
        ['part-00000.csv']
    """
    digests = listed_parts(folder)
    for part, digest in digests.items():
        if digest is None or file_digest(part) != digest:
            text = f"must be the part that {MANIFEST} names, found {'another' if part.exists() else 'none'}"
            raise TableFileError(f"{text}; draw them again", str(part))
    return [*digests]


def listed_parts(folder: str | Path) -> dict[Path, Any]:
    """Return the files that the manifest of a folder lists, with their digests, which are not compared.

    Raises:
        TableFileError: The folder has no manifest, or its parts were never all written.
    """
    folder, found = Path(folder), _manifest(Path(folder))
    if found is None:
        raise TableFileError(f"must hold parts and {MANIFEST}, which says that they are whole, found none", str(folder))
    try:
        digests = {str(part["name"]): part["sha256"] for part in found["parts"] or ()}
    except (TypeError, KeyError):
        digests = {"": None}
    if found.get("is_whole") is not True or not digests or not all(map(_PART.fullmatch, digests)):
        text = "must hold whole parts, found those of a run that was broken off; draw them again"
        raise TableFileError(text, str(folder))
    return {folder / name: digest for name, digest in digests.items()}
