"""The seam between the synthesizer and what learns the table: what a backend offers, and how one is made by its name."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from clover_tvae.errors import ConfigError, CorruptArtifactError, DataError, DuplicateColumnsError, Problem
from clover_tvae.parameters import Parameters

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from clover_tvae.metadata import Metadata

__all__ = ["BACKENDS", "Backend", "ReadsRows", "load_backend", "make_backend", "reader"]

BACKENDS = ("native", "sdv")


class Backend(Protocol):
    """What learns one table and draws rows from what it learnt.

    A backend is made from parameters of ``TVAESynthesizer`` alone, ``None`` meaning "my own default". One that knows the
    probability of a cell given the others offers :class:`ReadsRows` as well.
    """

    name: str

    def __init__(self, **given: Any) -> None: ...

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters in force, defaults resolved: plain values."""
        ...

    @property
    def history(self) -> list[dict[str, float]]:
        """One dict an epoch: epoch, seconds, loss, reconstruction, kl and validation_loss, _reconstruction, _kl."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """Rows, best epoch, why training ended, the device and, where they are known, the seconds."""
        ...

    @property
    def kinds(self) -> dict[Hashable, str]:
        """The kind of every column that was learnt or left out."""
        ...

    def fit(self, df: pd.DataFrame, metadata: Metadata, *, seed: np.random.SeedSequence, verbose: bool) -> Any:
        """Learn ``df``, which ``metadata`` describes; the same seed gives the same generator."""
        ...

    def sample_frames(
        self,
        n_rows: int,
        *,
        seed: np.random.SeedSequence,
        conditions: Mapping[Hashable, Any] | None = None,
        decode: str | None = None,
        missing: bool = True,
        first_id: int = 0,
    ) -> Iterator[pd.DataFrame]:
        """Yield ``n_rows`` rows with the columns, order and dtypes of the table that was learnt, in several frames."""
        ...

    def sigmas(self) -> dict[Hashable, list[float]]:
        """Learned standard deviations of each numeric column, where the decoder has such."""
        ...

    def set_device(self, device: str) -> None:
        """Move what was learnt to another device."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the backend's parts of the generator file: ``transforms``, ``model``, ``weights``, ``training``."""
        ...

    @classmethod
    def from_state(cls, parts: Mapping[str, Any], *, device: str = "cpu", trust_pickle: bool = False) -> Backend:
        """Build the fitted backend that :meth:`state` described."""
        ...


@runtime_checkable
class ReadsRows(Protocol):
    """What reads rows that are given, too: it knows the probability of their cells."""

    def prepare(self, df: pd.DataFrame, metadata: Metadata, *, seed: np.random.SeedSequence) -> None:
        """Take the first step of ``fit``, which goes on from it."""
        ...

    def check_conditions(self, conditions: Mapping[Hashable, Any]) -> None:
        """Refuse conditions that no row could meet, once there is a table prepared or learnt."""
        ...

    def complete(
        self, df: pd.DataFrame, *, seed: np.random.SeedSequence, missing: bool = True, decode: str | None = None
    ) -> pd.DataFrame:
        """Draw the empty cells of ``df`` and the columns that it lacks."""
        ...

    def impute(self, df: pd.DataFrame, *, seed: np.random.SeedSequence) -> pd.DataFrame:
        """Fill the missing cells of ``df``."""
        ...

    def encode(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the latent mean of every row."""
        ...

    def reconstruct(self, df: pd.DataFrame, *, seed: np.random.SeedSequence) -> pd.DataFrame:
        """Decode the latent mean of every row."""
        ...

    def anomaly_scores(self, df: pd.DataFrame, *, seed: np.random.SeedSequence) -> pd.DataFrame:
        """Return how odd every row and every cell is."""
        ...


def reader(backend: Backend, df: Any, called: str) -> ReadsRows:
    """Return what reads the rows of ``df``, for the method that the user ``called``.

    Raises:
        DataError: ``df`` is no DataFrame whose columns have names of their own.
        ConfigError: The backend cannot read rows.
    """
    import pandas as pd

    if not isinstance(df, pd.DataFrame):
        raise DataError(Problem("df", f"must be a pandas DataFrame, found {type(df).__name__}"))
    if not df.columns.is_unique:
        text = "several columns have this name; rename or drop all but one"
        twice = dict.fromkeys(df.columns[df.columns.duplicated()])
        raise DuplicateColumnsError([Problem(f"column {name!r}", text) for name in twice])
    if not isinstance(backend, ReadsRows):
        cure = f"the {backend.name!r} backend cannot do this; fit with backend='native'"
        raise ConfigError(Problem(called, cure))
    return backend


def make_backend(name: str, **parameters: Any) -> Backend:
    """Return a backend that has not learnt anything yet.

    Args:
        name: ``"native"`` or ``"sdv"``.
        **parameters: Parameters of ``TVAESynthesizer``; ``None`` is the backend's default.

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
    return _backend_class(name)(**parameters)


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


def _backend_class(name: str) -> type[Backend]:
    # Each is imported when it is first asked for: sdv takes seconds.
    if name == "sdv":
        from clover_tvae.backends.sdv import SdvBackend

        return SdvBackend
    from clover_tvae.backends.native import NativeBackend

    return NativeBackend
