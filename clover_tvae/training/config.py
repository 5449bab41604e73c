"""How to train: every setting of a training, with its range."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_type_hints

from pydantic import TypeAdapter, ValidationError

from clover_tvae.errors import ConfigError, Problem
from clover_tvae.parameters import Count, Decay, Positive, Share, in_words, shown


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Args:
        epochs: Passes over the training rows, at most. Early stopping may end sooner.
        batch_rows: Rows a step; the rows of an epoch are dealt into batches of nearly equal size, none larger.
        learning_rate: Peak step size of the optimiser.
        optimizer: ``"adam"`` (weight decay as an L2 penalty), ``"adamw"`` (decoupled, Loshchilov & Hutter 2019), or ``"muon"``:
            Muon for the matrices that the module's ``hidden_matrices()`` names, AdamW for all else.
        betas: Decay rates of Adam's two moments.
        weight_decay: For matrices only: never for biases, norms, or a learned sigma.
        gradient_clip: Largest norm of the whole gradient; ``None`` for no limit.
        warmup_steps: Steps over which the learning rate rises linearly from 0.
        schedule: ``"constant"``; or ``"trapezoid"``: constant until the validation loss stops improving, falls slowly (``least_fall``),
            or 70% of the planned epochs (or minutes) are over, then linearly down to 0, from the best weights (Hägele et al. 2024,
            arXiv 2405.18392). Either way the weights of the best validation loss are kept, the last where nothing is watched.
        average: Decay of an exponential moving average of the weights, which then is what is validated and kept;
            ``None`` for no average.
        validation_fraction: Share of the rows that is held out of training to watch the ELBO, in [0, 1); at most 20,000.
        patience: Epochs without a better validation loss after which training stops (a trapezoid: descends); ``None``
            never stops early.
        least_lead: By more than so many standard errors, over the rows held out, must the loss of newer weights be lower, or those
            rows outnumber the others for which it is, before they are kept; 0: any lower loss will do.
        least_fall: By fewer nats a row has the validation loss of a trapezoid fallen in the last quarter of its epochs so far, and
            more are not worth their time: it descends, but no sooner than after 35% of the planned epochs, then also where nothing is watched; ``None``: never for that reason.
        min_epochs: Early stopping does not stop before this epoch.
        max_minutes: Wall-clock limit; ``None`` for none. Where it ends the training, a seed no longer fixes the result.
        rows_an_epoch: Rows of an epoch, where it is not all of them: each epoch then takes the next ones, until all were seen
            and are shuffled anew.
        shards: Equal parts that every batch is cut into; on a CPU they are computed side by side, one thread each, and
            their gradients added. The result depends on the number of parts, never on how many ran at once. Keep 1 for
            modules that look at the whole batch (batch norm). Where it is more than 1, as many as there are workers at least.

    Raises:
        ConfigError: A value is out of its range; every such value is named.
    """

    epochs: Count = 300
    batch_rows: Count = 500
    learning_rate: Positive = 1e-3
    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: Decay = 0.0
    gradient_clip: Positive | None = None
    warmup_steps: int = 0
    schedule: Literal["constant", "trapezoid"] = "constant"
    average: float | None = None
    validation_fraction: Share = 0.05
    patience: Count | None = None
    least_lead: float = 0.0
    least_fall: Positive | None = None
    min_epochs: int = 0
    max_minutes: Positive | None = None
    rows_an_epoch: Count | None = None
    shards: Count = 1

    def __post_init__(self) -> None:
        problems = []
        for name, adapter in _adapters().items():
            value = getattr(self, name)
            try:
                adapter.validate_python(value, strict=True)
            except ValidationError:
                problems.append(Problem(name, f"must be {in_words(adapter.json_schema())}, found {shown(name, value)}"))
        if problems:
            raise ConfigError(problems)


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """What checks each setting."""
    return {name: TypeAdapter(kind) for name, kind in get_type_hints(TrainingConfig, include_extras=True).items()}
