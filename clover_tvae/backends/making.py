"""Backends by their names: made anew, or from the parts of a generator file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clover_tvae.backends.protocol import Backend
from clover_tvae.errors import CorruptArtifactError
from clover_tvae.parameters import Parameters

if TYPE_CHECKING:
    from clover_tvae.backends.native import NativeBackend
    from clover_tvae.backends.sdv import SdvBackend

BACKENDS = ("native", "sdv")


def make_backend(name: str | None, **parameters: Any) -> Backend:
    """Return a backend that has not learnt anything yet.

    Raises:
        ConfigError: There is no such backend, or it has no use for a parameter.
        MissingExtraError: The backend's package is not installed.

    Example:
        >>> make_backend("sdvv")
        Traceback (most recent call last):
            ...
        clover_tvae.errors.ConfigError: backend: must be 'native', 'sdv' or None, found backend='sdvv'; did you mean 'sdv'?
    """
    return _backend_class(Parameters.of(backend=name).backend)(**parameters)


def load_backend(parts: Mapping[str, Any], *, device: str = "cpu", trust_pickle: bool = False) -> Backend:
    """Return the fitted backend whose ``state()`` is in a generator file, after checking every part of it.

    Args:
        parts: The content of the file; ``parts["model"]["backend"]`` names the backend.
        trust_pickle: Whether the backend may open a pickle, which can run code. Only the ``sdv`` backend needs it.

    Raises:
        CorruptArtifactError: A part is not what it should be; the part is named.
        UnsafeArtifactError: A pickle would have to be opened, and ``trust_pickle`` is false.
    """
    model = parts.get("model")
    name = model.get("backend") if isinstance(model, Mapping) else None
    if not isinstance(name, str) or name not in BACKENDS:
        raise CorruptArtifactError("the file names no known backend: it was changed, or is no generator of clover_tvae")
    backend = _backend_class(name).from_state(parts, device=device, trust_pickle=trust_pickle)
    if parts.get("relations") is None:
        return backend
    from clover_tvae.backends.keeping import KeepingBackend

    return KeepingBackend.around(backend, parts["relations"])


def _backend_class(name: str | None) -> type[NativeBackend] | type[SdvBackend]:
    # Each is imported when it is first asked for: sdv takes seconds.
    if name == "sdv":
        from clover_tvae.backends.sdv import SdvBackend

        return SdvBackend
    from clover_tvae.backends.native import NativeBackend

    return NativeBackend
