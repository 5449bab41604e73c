"""Rows drawn into a file, or into a folder of parts with flat memory.

This module knows the synthesizer's public face and tables. It knows no job and no command line.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clover_tvae.errors import CloverError, TableFileError
from clover_tvae.tables import EXTENSIONS, write_table

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.synthesizer import TVAESynthesizer

__all__ = ["draw_to", "is_table_file", "old_parts"]

_PART = re.compile(r"part-[0-9]{5,}\.(csv|csv\.gz|parquet|pq)")


def is_table_file(path: Path) -> bool:
    """Tell a file, ``rows.csv``, from a folder, ``rows``, by its name."""
    return path.name.lower().endswith(EXTENSIONS) and path.name.lower() not in EXTENSIONS


def old_parts(folder: Path) -> list[Path]:
    """Return the parts of an earlier drawing that lie in a folder."""
    return [path for path in folder.iterdir() if _PART.fullmatch(path.name)] if folder.is_dir() else []


def draw_to(
    synth: TVAESynthesizer,
    n_rows: int,
    path: Path,
    *,
    suffix: str = ".csv",
    rows_per_part: int = 100_000,
    seed: int | None = None,
    conditions: Mapping[Any, Any] | None = None,
    decode: str | None = None,
    missing: bool = True,
    on_part: Callable[[Path, int], object] = lambda path, n_rows: None,
) -> list[Path]:
    """Draw rows and write them.

    Args:
        synth: A fitted synthesizer.
        n_rows: Rows, at least 0.
        path: A table file, or a folder for ``part-00000.csv``, ``part-00001.csv``...
        suffix: What the parts end in.
        rows_per_part: Rows a part, at least 1. It changes no row.
        seed: Seed of the rows.
        conditions: As ``TVAESynthesizer.sample`` takes them.
        decode: ``"sample"``, ``"argmax"``, or ``None`` for the generator's own.
        missing: Whether cells may be missing.
        on_part: Called with each file and its number of rows once it is whole.

    Parts are written beside the old ones and take their place once all are whole: a drawing that fails leaves the
    folder as it was.

    Returns:
        The files, in the order of the rows.
    """
    draw = partial(synth.sample_frames, n_rows, conditions, random_state=seed, decode=decode, missing=missing)
    if is_table_file(path):
        write_table(next(_parts(draw, max(n_rows, 1))), path)
        on_part(path, n_rows)
        return [path]
    try:
        return _draw_parts(draw, path, suffix, rows_per_part, on_part)
    except OSError as error:
        if isinstance(error, CloverError):
            raise
        text = f"cannot be written: {error.strerror or type(error).__name__}; check the place, its rights and its space"
        raise TableFileError(text, str(path)) from error


def _draw_parts(
    draw: Callable[[], Iterable[pd.DataFrame]],
    path: Path,
    suffix: str,
    rows_per_part: int,
    on_part: Callable[[Path, int], object],
) -> list[Path]:
    with contextlib.suppress(FileExistsError):
        path.mkdir(parents=True)
    files: list[Path] = []
    with tempfile.TemporaryDirectory(prefix=".clover-tvae-parts-", dir=path) as waiting:
        for index, part in enumerate(_parts(draw, rows_per_part)):
            file = path / f"part-{index:05d}{suffix}"
            write_table(part, Path(waiting) / file.name)
            on_part(file, len(part))
            files.append(file)
        # What an older, longer run has left would be read as part of this table.
        for old in old_parts(path):
            if old not in files:
                old.unlink()
        for file in files:
            (Path(waiting) / file.name).replace(file)
    return files


def _parts(draw: Callable[[], Iterable[pd.DataFrame]], rows_per_part: int) -> Iterator[pd.DataFrame]:
    """Cut the frames that ``draw()`` yields into frames of ``rows_per_part`` rows; the last may be shorter, the first empty."""
    import pandas as pd

    held: list[pd.DataFrame] = []
    n_held, started = 0, False
    for block in draw():
        held.append(block)
        n_held += len(block)
        while n_held >= rows_per_part:
            whole = held[0] if len(held) == 1 else pd.concat(held, ignore_index=True)
            started = True
            yield whole.iloc[:rows_per_part].reset_index(drop=True)
            held, n_held = [whole.iloc[rows_per_part:]], n_held - rows_per_part
    if held and (n_held or not started):
        yield held[0] if len(held) == 1 else pd.concat(held, ignore_index=True)
