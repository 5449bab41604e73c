"""Devices and random generators: what torch needs to know of the machine and of the user's seed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from clover_tvae.errors import ConfigError


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device for ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"auto"`` (the best at hand).

    Raises:
        ConfigError: The device is unknown, or this machine does not have it.

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        found = torch.device(device)
        there = {
            "cpu": True,
            "cuda": torch.cuda.is_available() and (found.index or 0) < torch.cuda.device_count(),
            "mps": torch.backends.mps.is_available(),
        }[found.type]
    except (RuntimeError, TypeError, KeyError):
        text = f"must be 'cpu', 'cuda', 'mps' or 'auto', found device={str(device)!r}"
        raise ConfigError(text, "device") from None
    if not there:
        text = f"this machine has no {str(device)!r}; use 'cpu', or 'auto' for the best at hand"
        raise ConfigError(text, "device")
    return found


class Strata(torch.Generator):
    """A generator whose uniform numbers are stratified over the rows of a draw: see ``clover_tvae.model.choices.uniform``."""


def torch_generator(
    seed: np.random.SeedSequence, device: torch.device | str = "cpu", kind: type[torch.Generator] = torch.Generator
) -> torch.Generator:
    """Return a torch generator seeded by a child of the user's seed; the global generators are left alone."""
    generator = kind(device=device)
    generator.manual_seed(int(seed.generate_state(1, np.uint64)[0]) & (2**63 - 1))
    return generator


def precise(device: torch.device) -> torch.dtype:
    """The widest float that a device computes with: float64, but on MPS."""
    return torch.float32 if device.type == "mps" else torch.float64


class _OneThread:
    """How many blocks of :func:`one_thread` are open, and what the first of them found."""

    lock = threading.Lock()
    n_open = 0
    before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch's operators on one thread each, and put back what was there when the last such block ends.

    Several threads an operator wait for each other thousands of times a second: on a busy machine that is ten times
    slower than one. And a sum that is split over threads rounds otherwise, so a seed would not fix the result.
    """
    with _OneThread.lock:
        if not _OneThread.n_open:
            _OneThread.before = torch.get_num_threads()
        _OneThread.n_open += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _OneThread.lock:
            _OneThread.n_open -= 1
            if not _OneThread.n_open:
                torch.set_num_threads(_OneThread.before)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as zero on this thread, because they slow down every step; then as it was before."""
    # There is no function that tells: a denormal number times one does.
    before = not bool((torch.tensor([1e-310], dtype=torch.float64) * 1.0).item())
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
