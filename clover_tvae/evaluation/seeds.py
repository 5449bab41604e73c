"""One seed, and a generator of its own for every purpose."""

from __future__ import annotations

import numpy as np

from clover_tvae.errors import ConfigError, Problem

__all__ = ["generator", "sequence"]


def sequence(seed: int, purpose: int) -> np.random.SeedSequence:
    """Return the seed sequence of one purpose.

    Args:
        seed: The user's seed, 0 or more.
        purpose: A constant of the calling module, so that no two purposes share draws.

    Raises:
        ConfigError: The seed is no whole number of at least 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError(Problem("seed", f"must be a whole number of at least 0, found seed={seed!r}"))
    return np.random.SeedSequence([int(seed), purpose])


def generator(seed: int, purpose: int) -> np.random.Generator:
    """Return the generator of one purpose; see ``sequence``.

    Example:
        >>> bool(generator(1, 5).random() == generator(1, 5).random())
        True
    """
    return np.random.default_rng(sequence(seed, purpose))
