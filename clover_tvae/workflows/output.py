"""Rows drawn into a file, or into a folder of parts with flat memory.

This module knows tables. It knows no job and no command line.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clover_tvae.errors import CloverError, TableFileError
from clover_tvae.files import locked, remove_left, write_text
from clover_tvae.tables import EXTENSIONS, Dialect, write_table
from clover_tvae.tables.parts import (
    MANIFEST,
    is_part,
    is_whole,
    manifest_text,
    name_of,
    old_parts,
    part_name,
    write_manifest,
)
from clover_tvae.tables.places import Store

_WAITING = ".clover-tvae-parts-"
#: How soon a run looks again whether another one has done with the folder.
_SECONDS_BETWEEN_LOOKS = 0.2


def is_table_file(path: Path) -> bool:
    """Tell a file, ``rows.csv``, from a folder, ``rows``, by its name."""
    return path.name.lower().endswith(EXTENSIONS) and path.name.lower() not in EXTENSIONS


def draw_to(
    draw: Callable[..., Iterable[pd.DataFrame]],
    path: Path,
    *,
    suffix: str = ".csv",
    rows_per_part: int = 100_000,
    name: str | None = None,
    resume_as: str | None = None,
    dialect: Dialect | None = None,
    counts: Sequence[int] | None = None,
    on_part: Callable[[Path, int], object] = lambda path, n_rows: None,
    on_left: Callable[[], object] = lambda: None,
) -> list[Path]:
    """Draw rows and write them.

    Args:
        draw: Draws the rows in frames, at least one, such as ``partial(synth.sample_frames, 1000)``; called with ``skip``,
            the number of rows that are there already, where a run is resumed.
        path: A table file, or a folder for ``part-00000.csv``, ``part-00001.csv``...
        suffix: What the parts end in.
        rows_per_part: Rows a part, at least 1. It changes no row.
        name: What tells these very rows, in such parts, from all others; the manifest of the parts keeps it.
        resume_as: A name for these very rows in such parts, of letters and digits: what a run of this name had drawn
            before it failed or was killed is kept, and a later one goes on from there. ``None``: nothing is kept.
        dialect: How a CSV file, that is no folder of parts, is written.
        counts: How many rows stand in each part, for the manifest, if that is known.
        on_part: Called with each part and its number of rows once it is whole.
        on_left: Called where parts of another run, which ended early, were waiting; they are removed.

    Parts are written beside the old ones and take their place once all are whole: a drawing that fails leaves the
    folder as it was. One that is killed while they take their place leaves a manifest that says so; see ``tables.parts``.

    Returns:
        The files, in the order of the rows.
    """
    if is_table_file(path):
        write_table(next(cut(draw(), sys.maxsize)), path, dialect)
        return [path]
    files: list[Path] = []
    with _told(path), contextlib.ExitStack() as held:
        _hold(path, resume_as, held, on_left)
        waiting = _waiting(path, resume_as, held)
        names = (path / part_name(index, suffix) for index in itertools.count())
        files += itertools.takewhile(lambda file: is_whole(waiting / file.name), names)
        drawn = draw(skip=len(files) * rows_per_part) if files else draw()
        for index, part in enumerate(cut(drawn, rows_per_part), start=len(files)):
            if files and not len(part):  # the parts of the run before are all there
                break
            file = path / part_name(index, suffix)
            write_table(part, waiting / file.name)
            on_part(file, len(part))
            files.append(file)
        _put_in_place(path, waiting, files, name, counts=counts)
        if resume_as is not None:
            shutil.rmtree(waiting)
    return files


def draw_parts(
    groups: Callable[[Path], Iterable[Mapping[str, str]]],
    path: Path,
    *,
    names: Sequence[str],
    counts: Sequence[int],
    name: str,
    resume_as: str | None,
    is_shared: bool = False,
    on_left: Callable[[], object] = lambda: None,
) -> list[Path]:
    """Have parts written by other processes, and give them their names once all are whole.

    Args:
        groups: Called with the folder where parts wait; has them written there and yields the digests of some parts at a time.
        names: The name of each part, of all the rows.
        name, resume_as, on_left: See :func:`draw_to`.
        is_shared: Other runs write parts of these very rows, too: whoever ends last gives them their names.

    Returns:
        The files, in the order of the rows; none where the parts of other runs are not there yet.
    """
    files = [path / one for one in names]
    with _told(path), contextlib.ExitStack() as held:
        if not is_shared:
            _hold(path, resume_as, held, on_left)
        path.mkdir(parents=True, exist_ok=True)
        waiting = _waiting(path, resume_as, held)
        digests = dict[str, str]()
        for found in groups(waiting):
            digests |= found
        while is_shared and held.enter_context(locked(path)) is False:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        if is_shared and name_of(path) == name:
            return files
        if not all((waiting / one).exists() for one in names):
            return []
        _put_in_place(path, waiting, files, name, digests=digests, counts=counts)
        if resume_as is not None:
            shutil.rmtree(waiting)
    return files


def draw_to_store(
    groups: Callable[[str], Iterable[Mapping[str, str]]],
    store: Store,
    *,
    names: Sequence[str],
    counts: Sequence[int],
    name: str,
    resume_as: str | None,
    is_shared: bool = False,
) -> bool:
    """Have parts written to an object store, where a part is there once it is whole, and list them last.

    Until then a manifest says that they are not all there, and what rows they are of.

    Args:
        groups: As for :func:`draw_parts`, called with the URL.
        store: The place. What it holds of other rows goes.
        names, counts, name, resume_as, is_shared: As for :func:`draw_parts`.

    Returns:
        Whether all parts are there.

    Raises:
        TableFileError: The store refuses; or, where other runs write there, too, it holds parts of other rows.
    """
    old = {one for one in store.names() if is_part(one)}
    if not (resume_as is not None and name_of(store, is_whole=False) == name):
        if old and is_shared:
            text = "must hold no parts of other rows where several runs write; remove them first"
            raise TableFileError(text, store.called)
        _put(store, manifest_text(None, name))
        for one in old:
            store.remove(one)
    digests = dict[str, str]()
    for found in groups(store.url):
        digests |= found
    there = store.names()
    if not {*names} <= there:
        return False
    for one in filter(is_part, there - {*names}):
        store.remove(one)
    _put(store, manifest_text({one: digests.get(one) or store.digest(one) for one in names}, name, counts))
    return True


def _put(store: Store, manifest: str) -> None:
    with store.written(MANIFEST) as file:
        write_text(file, manifest)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell in our words why a folder cannot be written."""
    try:
        yield
    except OSError as error:
        if isinstance(error, CloverError):
            raise
        text = f"cannot be written: {error.strerror or type(error).__name__}; check the place, its rights and its space"
        raise TableFileError(text, str(path)) from error


def _hold(path: Path, resume_as: str | None, held: contextlib.ExitStack, on_left: Callable[[], object]) -> None:
    """Hold a folder for this run alone, make it where it is not there, and clear away what other runs have left."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(parents=True)
    if (is_ours := held.enter_context(locked(path))) is False:
        text = "must be written by one run at a time, found another at it; wait for its end"
        raise TableFileError(text, str(path))
    if is_ours and remove_left(path, f"{_WAITING}(?!{resume_as}$).*"):
        on_left()


def _put_in_place(path: Path, waiting: Path, files: Sequence[Path], name: str | None, **known: Any) -> None:
    """Give parts that are all whole their names, and say so last."""
    write_manifest(path, None)
    # What an older, longer run has left would be read as part of this table.
    for old in set(old_parts(path)) - set(files):
        old.unlink()
    for file in files:
        (waiting / file.name).replace(file)
    write_manifest(path, files, name, **known)


def _waiting(path: Path, resume_as: str | None, held: contextlib.ExitStack) -> Path:
    """Return the folder where parts wait until all are whole; one that bears a name stays where the drawing fails."""
    if resume_as is None:
        return Path(held.enter_context(tempfile.TemporaryDirectory(prefix=_WAITING, dir=path)))
    folder = path / f"{_WAITING}{resume_as}"
    folder.mkdir(exist_ok=True)
    return folder


def cut(frames: Iterable[pd.DataFrame], rows_per_part: int) -> Iterator[pd.DataFrame]:
    """Cut frames into frames of ``rows_per_part`` rows; the last may be shorter, and where there is none, the first empty."""
    held: list[pd.DataFrame] = []
    n_held, started = 0, False
    for frame in frames:
        held.append(frame)
        n_held += len(frame)
        while n_held >= rows_per_part:
            whole, started = pd.concat(held, ignore_index=True), True
            yield whole.iloc[:rows_per_part]
            held, n_held = [whole.iloc[rows_per_part:]], n_held - rows_per_part
    if n_held or (held and not started):
        yield pd.concat(held, ignore_index=True)
