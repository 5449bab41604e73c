"""What a generator file tells of itself, read without building the model, so that neither torch nor a pickle is touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clover_tvae.evaluation.disclosure import card_to_show

__all__ = ["card_of"]


def card_of(path: Path, expected_sha256: str | None = None) -> dict[str, Any]:
    """Return the model card of a generator file, in the form of ``TVAESynthesizer.card()``.

    Args:
        path: The file.
        expected_sha256: Refuse the file unless it has this digest.

    Returns:
        The card, with the number of ordered categories in the place of the categories.

    Raises:
        ArtifactError: The file is refused.
    """
    from clover_tvae.artifact import read_artifact

    content = read_artifact(path, expected_sha256=expected_sha256)
    training, model = content["training"], content["model"]
    inner = _mapping(training, "backend")
    facts = _mapping(inner, "facts")
    history = inner.get("history", inner.get("losses"))
    parameters = _mapping(inner, "parameters") or _mapping(model, "parameters")
    card = {
        "package": "clover_tvae",
        "backend": model.get("backend"),
        "writer": content["writer"],
        "sha256": content["sha256"],
        "random_state": training.get("random_state"),
        "decode": training.get("decode"),
        "metadata": content["metadata"],
        "rows": facts.get("rows"),
        "columns": training.get("n_columns"),
        "parameters": parameters,
        "training": {**facts, "epochs": len(history) if isinstance(history, list) else None},
        "privacy": content["privacy"],
        "opens_without_running_code": not model.get("pickle", False),
    }
    return card_to_show(card)


def _mapping(part: Any, key: str) -> dict[str, Any]:
    # The file is checked as a container; what its parts hold is checked only when the model is built.
    value = part.get(key) if isinstance(part, Mapping) else None
    return value if isinstance(value, dict) else {}
