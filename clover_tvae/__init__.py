"""clover_tvae: learn a table, give back synthetic rows that have its statistics.

The public names are imported when they are first used, so that ``import clover_tvae`` takes no time.

Example:
    >>> import pandas as pd
    >>> from clover_tvae import TVAESynthesizer
    >>> df = pd.DataFrame({"age": range(20, 70), "sex": ["F", "M"] * 25})
    >>> synth = TVAESynthesizer(df, {"continuous": ["age"], "categorical": ["sex"]}, random_state=1, epochs=1, verbose=False)
    >>> synth.fit().sample(3).shape
    (3, 2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clover_tvae.version import __version__

if TYPE_CHECKING:
    from clover_tvae.estimators import TVAESynthesizer
    from clover_tvae.metadata import Metadata

__all__ = ["Metadata", "TVAESynthesizer", "__version__"]

_HOMES = {"Metadata": "clover_tvae.metadata", "TVAESynthesizer": "clover_tvae.estimators"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'clover_tvae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
