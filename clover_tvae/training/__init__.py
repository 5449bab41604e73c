"""Training: the trainer, its settings and its two optimisers."""

from __future__ import annotations

from clover_tvae.model.elbo import ElboTerms
from clover_tvae.training.checkpoint import Checkpoint
from clover_tvae.training.config import TrainingConfig
from clover_tvae.training.spooled import SpooledRows
from clover_tvae.training.trainer import Epoch, Trainer, Training, duration
from clover_tvae.training.workers import Workers

__all__ = [
    "Checkpoint", "ElboTerms", "Epoch", "SpooledRows", "Trainer", "Training", "TrainingConfig", "Workers", "duration",
]  # fmt: skip
