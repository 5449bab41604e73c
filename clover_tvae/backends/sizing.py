"""How large a model and how long a training a table gets, where the user does not say.

It knows the two decoders' defaults in one table; it must not know networks or columns beyond their number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from clover_tvae.model.build import DecoderName, ModelConfig
from clover_tvae.training import TrainingConfig

__all__ = ["Plan", "plan_training"]


#: A full covariance of more dimensions has more entries than rows could fill.
_WIDEST_FITTED_PRIOR = 32
#: Fewer rows do not fix the mean and covariance of eight dimensions.
_FEWEST_PRIOR_ROWS = 100


@dataclass(frozen=True)
class Plan:
    """What to build and how to train it."""

    model: ModelConfig
    training: TrainingConfig

    def describe(self) -> str:
        """One line for the user."""
        model, training = self.model, self.training
        length = f"at most {training.epochs} epochs"
        if training.patience is not None:
            length += f", until the validation ELBO has not improved for {training.patience}"
        dropout = f", dropout {model.dropout:g}" if model.dropout else ""
        return (
            f"{model.decoder} decoder {model.decompress_dims}, encoder {model.compress_dims}, latent "
            f"{model.embedding_dim}{dropout}; batches of {training.batch_rows} rows, {length}"
        )


def _autoregressive(n_rows: int, n_columns: int, n_choices: int) -> Plan:
    """Small tables want a narrow trunk, dropout and many epochs; large ones fewer epochs of larger batches."""
    if n_rows < 3_000:
        width, dropout, batch_rows = 128, 0.3, 128
    elif n_rows < 8_000:
        width, dropout, batch_rows = 256, 0.1, 512
    else:
        width, dropout, batch_rows = 256, 0.0, 1024
    if n_rows < 400 * n_columns:
        dropout = max(dropout, 0.15)
    # A step costs more the wider the table, so a wide table gets fewer of them: one to three minutes on two cores.
    # Columns of thousands of categories likewise, and smaller batches: a step holds a logit a row and choice.
    crowd = max(1.0, n_choices / 4_000)
    batch_rows = max(128, round(batch_rows / crowd))
    steps = min(4_000, 97_000 / (n_columns + 19)) / crowd**0.5
    epochs = max(2, round(steps * batch_rows / n_rows))
    return Plan(
        ModelConfig(
            decoder="autoregressive",
            compress_dims=(128, 128),
            decompress_dims=(width, width),
            embedding_dim=8,
            free_bits=0.25,
            dropout=dropout,
            # Of a single Gaussian even small tables gain much: benchmarks/README.md, "The prior".
            prior_components=min(32, max(1, n_rows // 1_000)) if n_rows >= _FEWEST_PRIOR_ROWS else 0,
        ),
        TrainingConfig(
            epochs=epochs,
            batch_rows=batch_rows,
            learning_rate=3e-3,
            optimizer="muon",
            betas=(0.9, 0.98),
            weight_decay=0.02,
            gradient_clip=1.0,
            warmup_steps=100,
            schedule="trapezoid",
            average=0.995,
            validation_fraction=0.05,
            # The average of the weights lags by 200 steps: fewer epochs without progress say nothing yet.
            patience=max(8, round(300 * batch_rows / n_rows)),
            # Halves of a small batch are not worth a second thread.
            shards=2 if batch_rows >= 512 else 1,
        ),
    )


def _independent(n_rows: int, n_columns: int, n_choices: int) -> Plan:
    return Plan(
        ModelConfig(
            decoder="independent",
            compress_dims=(128, 128),
            decompress_dims=(128, 128),
            embedding_dim=128,
            loss_factor=2.0,
        ),
        TrainingConfig(
            epochs=300,
            batch_rows=500,
            learning_rate=1e-3,
            optimizer="adam",
            weight_decay=1e-5,
            validation_fraction=0.05,
        ),
    )


def plan_training(
    decoder: DecoderName, n_rows: int, n_columns: int, given: dict[str, Any], *, n_choices: int = 0
) -> Plan:
    """Return the defaults for a table of this size, overruled by what the user gave (values that are not ``None``).

    Args:
        decoder: Which decoder.
        n_rows: Training rows.
        n_columns: Modelled columns.
        n_choices: Choices of all columns together, if they are known already.
        given: Constructor parameters of ``TVAESynthesizer``, ``None`` where left to the table.

    Example:
        >>> plan_training("independent", 1000, 5, {"epochs": 7}).training.epochs
        7
    """
    plan = (_autoregressive if decoder == "autoregressive" else _independent)(n_rows, n_columns, n_choices)
    given = {name: value for name, value in given.items() if value is not None}
    if "epochs" in given and "patience" not in given:
        # A number of epochs means exactly that many, as users of SDV expect.
        plan = replace(plan, training=replace(plan.training, patience=None))
    model_names = {"compress_dims", "decompress_dims", "embedding_dim", "loss_factor"}
    training_names = {
        "epochs": "epochs",
        "batch_size": "batch_rows",
        "learning_rate": "learning_rate",
        "weight_decay": "weight_decay",
        "gradient_clip": "gradient_clip",
        "validation_fraction": "validation_fraction",
        "patience": "patience",
        "max_minutes": "max_minutes",
    }
    model = replace(plan.model, **{name: value for name, value in given.items() if name in model_names})
    training = replace(
        plan.training, **{training_names[name]: value for name, value in given.items() if name in training_names}
    )
    if model.embedding_dim > _WIDEST_FITTED_PRIOR:
        model = replace(model, prior_components=0)
    return Plan(model, training)
