"""How to train: every setting of a training, with its range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clover_tvae.errors import ConfigError, Problem

__all__ = ["TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Args:
        epochs: Passes over the training rows, at most. Early stopping may end sooner.
        batch_rows: Rows a step; the rows of an epoch are dealt into batches of nearly equal size, none larger.
        learning_rate: Peak step size of the optimiser.
        optimizer: ``"adam"`` (weight decay as an L2 penalty), or ``"muon"``: Muon for the matrices that the module's
            ``hidden_matrices()`` names, AdamW (decoupled weight decay, Loshchilov & Hutter 2019) for all else.
        betas: Decay rates of Adam's two moments.
        weight_decay: For matrices only: never for biases, norms, or a learned sigma.
        gradient_clip: Largest norm of the whole gradient; ``None`` for no limit.
        warmup_steps: Steps over which the learning rate rises linearly from 0.
        schedule: ``"constant"``, which keeps the weights of the best validation loss; or ``"trapezoid"``: constant until the
            validation loss stops improving or 70% of the planned epochs (or minutes) are over, then linearly down to 0,
            from the best weights, and the weights at its end are kept (Hägele et al. 2024, arXiv 2405.18392).
        average: Decay of an exponential moving average of the weights, which then is what is validated and kept;
            ``None`` for no average.
        validation_fraction: Share of the rows that is held out of training to watch the ELBO, in [0, 1).
        max_validation_rows: No more rows than that are held out.
        patience: Epochs without a better validation loss after which training stops (a trapezoid: descends); ``None``
            never stops early.
        min_epochs: Early stopping does not stop before this epoch.
        max_minutes: Wall-clock limit; ``None`` for none. Where it ends the training, a seed no longer fixes the result.
        shards: Equal parts that every batch is cut into; on a CPU they are computed side by side, one thread each, and
            their gradients added. The result depends on the number of parts, never on how many ran at once. Keep 1 for
            modules that look at the whole batch (batch norm).
        bfloat16: Run the matrix products in bfloat16 (pays on GPUs and on CPUs with matrix units).

    Raises:
        ConfigError: A value is out of its range; every such value is named.
    """

    epochs: int = 300
    batch_rows: int = 500
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    gradient_clip: float | None = None
    warmup_steps: int = 0
    schedule: str = "constant"
    average: float | None = None
    validation_fraction: float = 0.05
    max_validation_rows: int = 20_000
    patience: int | None = None
    min_epochs: int = 0
    max_minutes: float | None = None
    shards: int = 1
    bfloat16: bool = False

    def __post_init__(self) -> None:
        rules: list[tuple[str, bool, str]] = [
            ("epochs", _is_int(self.epochs) and self.epochs >= 1, "a positive integer"),
            ("batch_rows", _is_int(self.batch_rows) and self.batch_rows >= 1, "a positive integer"),
            ("shards", _is_int(self.shards) and self.shards >= 1, "a positive integer"),
            ("learning_rate", _is_number(self.learning_rate) and self.learning_rate > 0, "a positive number"),
            ("optimizer", self.optimizer in ("adam", "muon"), "'adam' or 'muon'"),
            ("weight_decay", _is_number(self.weight_decay) and self.weight_decay >= 0, "a number of at least 0"),
            (
                "gradient_clip",
                self.gradient_clip is None or (_is_number(self.gradient_clip) and self.gradient_clip > 0),
                "a positive number or None",
            ),
            ("schedule", self.schedule in ("constant", "trapezoid"), "'constant' or 'trapezoid'"),
            (
                "validation_fraction",
                _is_number(self.validation_fraction) and 0 <= self.validation_fraction < 1,
                "a number in [0, 1)",
            ),
            (
                "patience",
                self.patience is None or (_is_int(self.patience) and self.patience >= 1),
                "a positive integer or None",
            ),
            (
                "max_minutes",
                self.max_minutes is None or (_is_number(self.max_minutes) and self.max_minutes > 0),
                "a positive number or None",
            ),
        ]
        problems = [
            Problem(name, f"must be {rule}, found {name}={getattr(self, name)!r}")
            for name, holds, rule in rules
            if not holds
        ]
        if problems:
            raise ConfigError(problems)


def _is_int(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    return bool(math.isfinite(value))
