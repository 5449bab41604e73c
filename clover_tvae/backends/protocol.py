"""The seam between the synthesizer and what learns the table: the protocol of a backend, and how one is made.

This module knows the names of the backends and imports none of them before it is asked for. It must not know torch,
networks, files or YAML, and nothing above it asks which backend it talks to.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from clover_tvae.errors import ConfigError, CorruptArtifactError, Problem
from clover_tvae.parameters import Parameters

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from clover_tvae.metadata import Metadata

__all__ = [
    "BACKENDS",
    "Backend",
    "ability",
    "load_backend",
    "make_backend",
]

BACKENDS: Mapping[str, tuple[str, str]] = {
    "native": ("clover_tvae.backends.native", "NativeBackend"),
    "sdv": ("clover_tvae.backends.sdv", "SdvBackend"),
}
"""Each backend's module and class, imported when it is first made."""


class Backend(Protocol):
    """What learns one table and draws rows from what it learnt.

    A backend is made from constructor parameters alone, ``None`` meaning "my own default"; one that it has no use for,
    given a value, is a :class:`~clover_tvae.errors.ConfigError`. Beyond these methods a backend may offer ``encode``,
    ``reconstruct``, ``anomaly_scores``, ``impute``, ``sigmas``...: ask with :func:`ability`.
    """

    name: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters in force, defaults resolved: plain values."""
        ...

    @property
    def history(self) -> list[dict[str, float]]:
        """One dict an epoch: epoch, seconds, loss, reconstruction, kl and validation_loss, _reconstruction, _kl."""
        ...

    def fit(
        self, df: pd.DataFrame, metadata: Metadata, *, seed: int | np.random.SeedSequence | None, verbose: bool
    ) -> Any:
        """Learn ``df``, which ``metadata`` describes; the same seed gives the same generator."""
        ...

    def sample(
        self,
        n_rows: int,
        *,
        seed: int | np.random.SeedSequence | None,
        conditions: Mapping[Hashable, Any] | None = None,
        decode: str | None = None,
        missing: bool = True,
    ) -> pd.DataFrame:
        """Draw ``n_rows`` rows with the columns, order and dtypes of the table that was learnt."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the backend's parts of the generator file: ``transforms``, ``model``, ``weights``, ``training``."""
        ...

    @classmethod
    def from_state(cls, parts: Mapping[str, Any], *, device: str = "cpu", trust_pickle: bool = False) -> Backend:
        """Build the fitted backend that :meth:`state` described."""
        ...


def make_backend(name: str, **parameters: Any) -> Backend:
    """Return a backend that has not learnt anything yet.

    Args:
        name: ``"native"`` or ``"sdv"``.
        **parameters: The backend's constructor parameters; ``None`` is its default.

    Raises:
        ConfigError: There is no such backend, or it has no use for a parameter.
        MissingExtraError: The backend's package is not installed.

    Example:
        >>> make_backend("sdvv")
        Traceback (most recent call last):
            ...
        clover_tvae.errors.ConfigError: backend: must be 'native', 'sdv' or None, found backend='sdvv'; did you mean 'sdv'?
    """
    if name not in BACKENDS:
        Parameters.of(backend=name)
    return cast("Backend", _backend_class(name)(**parameters))


def load_backend(parts: Mapping[str, Any], *, device: str = "cpu", trust_pickle: bool = False) -> Backend:
    """Return the fitted backend whose ``state()`` is in a generator file.

    Args:
        parts: The content of the file; ``parts["model"]["backend"]`` names the backend.
        device: Where to compute: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``.
        trust_pickle: Whether the backend may open a pickle, which can run code. Only the ``sdv`` backend needs it.

    Raises:
        CorruptArtifactError: No known backend is named.
        UnsafeArtifactError: The backend would have to open a pickle and ``trust_pickle`` is false.
    """
    model = parts.get("model")
    name = model.get("backend") if isinstance(model, Mapping) else None
    if not isinstance(name, str) or name not in BACKENDS:
        raise CorruptArtifactError("the file names no known backend: it was changed, or is no generator of clover_tvae")
    return _backend_class(name).from_state(parts, device=device, trust_pickle=trust_pickle)


def ability(backend: Backend, name: str, called: str | None = None) -> Callable[..., Any]:
    """Return the optional method ``name`` of ``backend``; ``called`` is what the user called, where that is another name.

    Raises:
        ConfigError: This backend does not offer it.
    """
    method = getattr(backend, name, None)
    if method is None:
        raise ConfigError(
            Problem(called or name, f"the {backend.name!r} backend cannot do this; fit with backend='native'")
        )
    return cast("Callable[..., Any]", method)


def _backend_class(name: str) -> Any:
    module, attribute = BACKENDS[name]
    return getattr(import_module(module), attribute)
