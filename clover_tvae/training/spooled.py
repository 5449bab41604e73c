"""Rows that are dealt at random into files on disk, and read from there file by file: a shuffle larger than memory.

Every row lies in a random file; a pass takes the files in random order and the rows of each in random order. The files have no
name: they are gone with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clover_tvae.errors import TrainingError

#: About how many rows a file holds, and the most files: a pass has one of them in memory.
_ROWS_A_FILE, _MOST_FILES = 131_072, 256


class SpooledRows:
    """A source of rows (:class:`~clover_tvae.training.shuffled.RowSource`) on disk.

    Args:
        blocks: The rows, a tensor for each argument of the module; all blocks have one set of dtypes and shapes.
        n_about: About how many rows there will be.
        seed: Fixes the order of all passes.

    Raises:
        TrainingError: The disk is full.

    Example:
        >>> rows = SpooledRows([(torch.arange(4),), (torch.arange(4, 6),)], 6, np.random.SeedSequence(1))
        >>> rows.begin(6)
        >>> sorted(rows.take(4)[0].tolist() + rows.take(2)[0].tolist())
        [0, 1, 2, 3, 4, 5]
        >>> rows.close()
    """

    def __init__(self, blocks: Iterable[Sequence[Tensor]], n_about: int, seed: np.random.SeedSequence) -> None:
        n_files = min(_MOST_FILES, max(1, math.ceil(n_about / _ROWS_A_FILE)))
        self._seed, self._columns = seed, list[tuple[np.dtype[Any], tuple[int, ...]]]()
        self._n_rows_of = np.zeros(n_files, dtype=np.int64)
        self._files: list[BinaryIO] = []
        try:
            with contextlib.ExitStack() as opened:
                self._files += (opened.enter_context(tempfile.TemporaryFile()) for _ in range(n_files))
                rng = np.random.default_rng(self._child(0))
                for block in blocks:
                    self._deal([tensor.numpy() for tensor in block], rng)
                self._opened = opened.pop_all()
        except OSError as error:
            text = f"the rows cannot be put into {tempfile.gettempdir()}: {error.strerror}; TMPDIR names another folder"
            raise TrainingError(text) from None
        self.n_rows = int(self._n_rows_of.sum())
        self._n_taken, self._pass, self._held, self._next = 0, 0, list[Tensor](), 0

    def close(self) -> None:
        self._opened.close()

    def _child(self, *key: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self._seed.entropy, spawn_key=(*self._seed.spawn_key, *key))

    def _deal(self, arrays: Sequence[NDArray[Any]], rng: np.random.Generator) -> None:
        """Put each row of a block into a file drawn at random."""
        self._columns = [(array.dtype, array.shape[1:]) for array in arrays]
        n_rows, n_files = len(arrays[0]), len(self._files)
        if n_rows == 0:
            return
        as_bytes = [np.ascontiguousarray(array).view(np.uint8).reshape(n_rows, -1) for array in arrays if array.size]
        packed = np.concatenate(as_bytes, axis=1)
        which = rng.integers(0, n_files, n_rows)
        packed, counts = packed[np.argsort(which, kind="stable")], np.bincount(which, minlength=n_files)
        for file, rows in zip(self._files, np.split(packed, np.cumsum(counts)[:-1]), strict=True):
            file.write(rows.tobytes())
        self._n_rows_of += counts

    def _read(self, place: int) -> list[Tensor]:
        """Return the rows of the file that has this place in the pass, in the order of the pass."""
        index = int(np.random.default_rng(self._child(1, self._pass)).permutation(len(self._files))[place])
        n_rows, file = int(self._n_rows_of[index]), self._files[index]
        file.seek(0)
        packed = np.frombuffer(file.read(), dtype=np.uint8).reshape(n_rows, -1)
        packed = packed[np.random.default_rng(self._child(2, self._pass, index)).permutation(n_rows)]
        tensors, start = [], 0
        for dtype, shape in self._columns:
            width = dtype.itemsize * math.prod(shape)
            # A copy, also of no bytes: else the strides are those of whole rows.
            part = packed[:, start : start + width].copy().view(dtype).reshape(n_rows, *shape)
            tensors.append(torch.from_numpy(part))
            start += width
        return tensors

    def begin(self, n_rows: int) -> None:
        if self._pass == 0 or self.n_rows - self._n_taken < n_rows:
            self._pass, self._n_taken, self._held, self._next = self._pass + 1, 0, [], 0

    def take(self, n_rows: int) -> list[Tensor]:
        parts, self._n_taken = [], self._n_taken + n_rows
        while n_rows:
            if not self._held or not len(self._held[0]):
                self._held, self._next = self._read(self._next), self._next + 1
            parts.append([tensor[:n_rows] for tensor in self._held])
            self._held = [tensor[n_rows:] for tensor in self._held]
            n_rows -= len(parts[-1][0])
        return [torch.cat(columns) if len(columns) > 1 else columns[0] for columns in zip(*parts, strict=True)]

    def state(self) -> dict[str, Any]:
        return {"pass": self._pass, "n_taken": self._n_taken}

    def restore(self, state: dict[str, Any]) -> None:
        self._pass, self._n_taken, self._held, self._next = state["pass"], 0, [], 0
        left = state["n_taken"]
        while left:
            n_rows = min(left, _ROWS_A_FILE)
            self.take(n_rows)
            left -= n_rows
