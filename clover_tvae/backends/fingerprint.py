"""What a fit is made from, part by part: what has to be the same for an interrupted one to go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.artifact import writer_versions
from clover_tvae.metadata import Metadata
from clover_tvae.parameters import listed
from clover_tvae.tables import Beyond


def made_from(
    df: pd.DataFrame,
    metadata: Metadata,
    parameters: Mapping[str, Any],
    seed: np.random.SeedSequence,
    beyond: Beyond | None = None,
) -> dict[str, str]:
    """Return a text for each part: the same texts, the same result on one machine.

    Args:
        parameters: What the user gave.
        beyond: All rows, where ``df`` is only a sample of them.

    Example:
        >>> df = pd.DataFrame({"age": [30, 40]})
        >>> metadata = Metadata.of({"continuous": ["age"], "categorical": []})
        >>> made = made_from(df, metadata, {"epochs": 3}, np.random.SeedSequence(1))
        >>> made["random_state"], made["epochs"], len(made["table"])
        ('1', '3', 64)
    """
    kinds = [(name, str(kind), *getattr(kind, "categories", ())) for name, kind in df.dtypes.items()]
    digest = hashlib.sha256(repr(kinds).encode("utf-8", "backslashreplace"))
    for name in df.columns:  # one at a time: the hashes of a table of text are as large as the table
        cells = df[name].map(repr) if df[name].dtype == object else df[name]  # pandas takes 1 and "1" for one
        digest.update(pd.util.hash_pandas_object(cells, index=False).to_numpy().tobytes())
    if beyond is not None:
        digest.update(beyond.digest.encode())
    texts = {"table": digest.hexdigest(), "random_state": str(seed.entropy)}
    told = json.dumps(metadata.to_dict(), sort_keys=True, default=str)
    texts["metadata"] = hashlib.sha256(told.encode()).hexdigest()
    texts |= {name: str(value) for name, value in listed(dict(parameters)).items() if value is not None}
    return texts | {f"version of {package}": version for package, version in writer_versions().items()}
