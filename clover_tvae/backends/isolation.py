"""A library that uses the state of the whole process, run without leaving a trace in it.

Global generators, warnings, streams and loggers are changed here and put back; nothing else in the package may touch a global
generator.
"""

from __future__ import annotations

import contextlib
import io
import logging
import random
import threading
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

#: Generators, warning filters and streams belong to the process: only one thread may have changed them.
_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def seeded_globals(seed: np.random.SeedSequence) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and PyTorch for the length of the block, then put them back.

    Example:
        >>> before = random.getstate()
        >>> with seeded_globals(np.random.SeedSequence(1)):
        ...     a = random.random()
        >>> with seeded_globals(np.random.SeedSequence(1)):
        ...     b = random.random()
        >>> a == b, before == random.getstate()
        (True, True)
    """
    import torch

    of_python, of_numpy, of_torch = (int(word) for word in seed.generate_state(3))
    devices = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=devices):
        python_state, numpy_state = random.getstate(), np.random.get_state()
        try:
            random.seed(of_python)
            np.random.seed(of_numpy)
            torch.manual_seed(of_torch)
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextlib.contextmanager
def quiet(loggers: Sequence[str], *, progress: bool = False) -> Iterator[None]:
    """Keep prints, warnings and the records of some loggers to the library itself.

    Args:
        loggers: Names of the loggers whose records go nowhere; those below them included.
        progress: Let through what is written to stderr, where progress bars are drawn.
    """
    kept = [(logger, logger.propagate, logger.handlers) for logger in (logging.getLogger(name) for name in loggers)]
    with _ONE_AT_A_TIME, contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if not progress:
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        try:
            for logger, _, _ in kept:
                logger.propagate, logger.handlers = False, [logging.NullHandler()]
            yield
        finally:
            for logger, propagate, handlers in kept:
                logger.propagate, logger.handlers = propagate, handlers


@contextlib.contextmanager
def isolated(seed: np.random.SeedSequence, loggers: Sequence[str], *, progress: bool = False) -> Iterator[None]:
    """Run a block seeded and quiet: :func:`seeded_globals` and :func:`quiet` at once."""
    with quiet(loggers, progress=progress), seeded_globals(seed):
        yield
