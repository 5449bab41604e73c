"""Stages of a long piece of work, told with their seconds as each ends."""

from __future__ import annotations

import time
from collections.abc import Callable


class timed:
    """Time a block, and tell it once it is done: ``drew 500 rows in 1.2 s``.

    Args:
        what: What the block does, in the past tense.
        tell: Takes the sentence; it is not called where the block fails.
    """

    def __init__(self, what: str, tell: Callable[[str], object]) -> None:
        self.what, self.tell, self.seconds = what, tell, 0.0

    def __enter__(self) -> timed:
        self._started = time.perf_counter()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        if kind is None:
            self.tell(f"{self.what} in {self.seconds:.1f} s")
