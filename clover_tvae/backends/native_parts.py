"""The native engine's parts of a generator file, as they must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from clover_tvae.parameters import Positive, Share, Width, Widths

_Natural = Annotated[int, Field(ge=0, le=2**53)]
_Epoch = Annotated[list[float], Field(min_length=8, max_length=8)]


def packed(history: Sequence[Sequence[float]]) -> bytes:
    """Return learning curves as a file holds them, which takes only so many single values."""
    return np.array(history, dtype="<f8").tobytes()


def unpacked(history: Any) -> Any:
    """Undo :func:`packed`; files of version 1 hold lists."""
    return np.frombuffer(history, dtype="<f8").reshape(-1, 8).tolist() if isinstance(history, bytes) else history


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ModelPart(_Part):
    """The part ``model``: what the networks are built from."""

    backend: Literal["native"]
    decoder: Literal["autoregressive", "independent"]
    compress_dims: Widths
    decompress_dims: Widths
    embedding_dim: Width
    loss_factor: Positive
    free_bits: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    dropout: Share
    prior_components: Annotated[int, Field(ge=0, le=64)] = 0  # the first files have none
    precision: Literal["float32", "bfloat16"] = "float32"  # nor this
    schedule_levels: Annotated[int, Field(ge=0, le=16)] = 0  # nor this
    judge_trees: Annotated[int, Field(ge=0, le=1_000)] = 0  # nor this


class _Facts(_Part):
    rows: Annotated[int, Field(ge=1, le=2**53)]
    best_epoch: _Natural
    stopped: Literal["epochs", "patience", "minutes", "diverged"]
    device: Annotated[str, Field(max_length=64)]


class TrainingPart(_Part):
    """The part ``training``: parameters in force, facts, and the learning curves."""

    parameters: dict[str, Any]
    facts: _Facts
    history: Annotated[list[_Epoch], Field(min_length=1), BeforeValidator(unpacked)]

    @field_validator("history")
    @classmethod
    def _counts_from_1(cls, history: list[list[float]]) -> list[list[float]]:
        if not all(1 <= row[0] <= 2**53 for row in history):  # not so of NaN either
            raise ValueError("epochs must count from 1")
        return history
