"""Numbers as they are: for an engine that codes them itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.transforms.grid import Grid
from clover_tvae.transforms.number_codec import NumberCodec


@dataclass(frozen=True, eq=False)
class RawCodec(NumberCodec):
    """Numbers of one column, coded as themselves: one numbered choice whose scalar, a float64, is the number."""

    n_numbered = 1

    @classmethod
    def fit(cls, values: NDArray[Any], n_missing: int, grid: Grid, least: int = 1) -> RawCodec:
        """Note the grid, and whether cells were missing."""
        return cls(grid, values[:0], n_missing > 0)

    def loosened(self, limits: tuple[Any, Any] | None, *, keep_decimals: bool) -> RawCodec:
        """Return the codec with another range, and without decimals if they are not to be kept. Whole numbers stay whole."""
        grid = self.grid
        if not keep_decimals and grid.kind == "float64":
            grid = replace(grid, decimals=None, unit=1)
        if limits is not None:
            grid = replace(grid, minimum=limits[0], maximum=limits[1])
        return replace(self, grid=grid)

    def _code(self, values: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], Any]:
        values = np.clip(values, self.grid.dtype.type(self.grid.minimum), self.grid.dtype.type(self.grid.maximum))
        if self.grid.single is not None:
            # The decimals of a short float are those of its shortest text: 0.1, not 0.10000000149.
            values = values.astype(self.grid.single).astype(str)
        return np.zeros(len(values), np.int32), values.astype(np.float64), None

    def _value(self, choices: NDArray[Any], scalars: NDArray[Any]) -> NDArray[Any]:
        return self.grid.snap(scalars)

    def _range(self, low: float, high: float) -> tuple[NDArray[np.bool_], NDArray[Any], NDArray[Any]]:
        inside = max(low, self.grid.minimum) <= min(high, self.grid.maximum)
        return np.array([inside]), np.array([low]), np.array([high])

    @classmethod
    def from_plain(cls, plain: Any) -> RawCodec:
        return cls(*cls._shared_parts(plain)[:3])
