"""The trainer: epochs, validation, early stopping, minutes, progress.

It trains any ``torch.nn.Module`` whose call ``module(*batch, generator=...)`` returns ``ElboTerms``, one value a row: the
digit examples train their own small networks with it.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from clover_tvae.columns.people import drawn_people
from clover_tvae.errors import DivergedError
from clover_tvae.model.devices import flushed_denormals, one_thread, resolve_device, torch_generator
from clover_tvae.model.elbo import ElboTerms
from clover_tvae.seeds import Train, child, generator, root
from clover_tvae.training.checkpoint import Stage
from clover_tvae.training.config import TrainingConfig
from clover_tvae.training.optimizers import Adam, Average, FlatParameters, Muon, Optimizer, joined
from clover_tvae.training.shuffled import OtherRows, RowSource, ShuffledRows
from clover_tvae.training.workers import Workers

logger = logging.getLogger(__name__)

#: Muon's step, in units of the spectral norm, for a learning rate of 1 (0.02 at Adam's 0.003).
_MUON_RATE = 7.0
#: A trapezoid descends over this share of the planned epochs, or of the best epoch's number where patience ran out.
_DESCENT_SHARE, _DESCENT_AFTER_BEST = 0.3, 0.1
#: Where the loss falls slowly, a training is planned anew as one that is to descend now, after this share of the epochs at the earliest.
_SLOW_AFTER, _LAST_PART = 0.35, 0.25
#: No more rows are held out of training.
_MOST_VALIDATION_ROWS = 20_000
#: A validation loss is a mean over about so many draws, and no row is drawn more often than that.
_VALIDATION_DRAWS, _MOST_VALIDATION_PASSES = 1024, 16
#: Steps between two looks at the loss: a look waits for the device, so it does not happen every step.
_STEPS_BETWEEN_CHECKS = 25
#: Steps between two validations, at least: an epoch of a small table may have one step.
_STEPS_BETWEEN_VALIDATIONS = 16
#: How often a line is logged.
_SECONDS_BETWEEN_LINES = 60.0


class Epoch(NamedTuple):
    """One row of the learning curves: means over rows, in nats. Validation values are NaN without validation rows."""

    epoch: int
    seconds: float
    loss: float
    reconstruction: float
    kl: float
    validation_loss: float
    validation_reconstruction: float
    validation_kl: float


@dataclass
class Training:
    """What happened: the learning curves and why training ended.

    Args:
        validation_rows: Indices of the rows that were held out.
        history: One entry an epoch.
        best_epoch: The epoch whose weights the module now holds.
        stopped: ``"epochs"``, ``"patience"``, ``"minutes"`` or ``"diverged"``.
    """

    validation_rows: NDArray[np.int64]
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "epochs"
    diverged_at: int | None = None


def duration(seconds: float) -> str:
    """Return a time as users are told one that is not known well.

    Example:
        >>> duration(3), duration(47), duration(200), duration(8000)
        ('about 5 seconds', 'about 50 seconds', 'about 3 minutes', 'about 2.2 hours')
    """
    if seconds < 90:
        return f"about {5 * math.ceil(seconds / 5)} seconds"
    return f"about {seconds / 60:.0f} minutes" if seconds < 5400 else f"about {seconds / 3600:.1f} hours"


def _quiet_thread() -> None:
    """One thread an operator, and denormals as zero: well-trained networks are full of them, and they are slow."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


class Trainer:
    """Trains a module by gradient descent on its negative ELBO.

    Args:
        config: How to train.
        device: Where to train; batches are moved there.
        verbose: Show a progress bar (in a terminal or a notebook) with the loss and the remaining time.
        on_epoch: Called with each :class:`Epoch`.
        told: What the progress bar calls the training.
        stage: Its place in the checkpoint of the fit, if there is one: what was done there is not done again.
        later: Given the seconds of a step of this training, returns those of all that follows it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> class Mean(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.mean = nn.Parameter(torch.zeros(()))
        ...     def forward(self, x, generator=None):
        ...         return ElboTerms((x - self.mean).square(), torch.zeros(len(x)))
        >>> mean = Mean()
        >>> config = TrainingConfig(epochs=40, batch_rows=10, learning_rate=0.1)
        >>> training = Trainer(config, verbose=False).fit(mean, (torch.full((100,), 3.0),), seed=1)
        >>> round(float(mean.mean.detach()), 1), len(training.history)
        (3.0, 40)
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        device: str | torch.device = "cpu",
        verbose: bool = True,
        on_epoch: Callable[[Epoch], None] | None = None,
        told: str = "training",
        stage: Stage | None = None,
        later: Callable[[float], float] = lambda a_step: 0.0,
    ) -> None:
        self.config = config
        self.device = resolve_device(device)
        self.verbose = verbose
        self.on_epoch = on_epoch
        self.told = told
        self.stage = stage
        self.later = later

    def fit(
        self,
        module: nn.Module,
        rows: Sequence[Tensor],
        seed: int | np.random.SeedSequence = 0,
        people: NDArray[np.int64] | None = None,
        beyond: OtherRows | None = None,
        held_out: NDArray[np.int64] | None = None,
    ) -> Training:
        """Train ``module`` in place and leave the best weights in it.

        Args:
            module: Called as ``module(*batch, generator=generator)``; returns :class:`ElboTerms`.
            rows: Tensors with one row per training row each. **Shape** ``(rows, ...)``.
            seed: Fixes the split, the order of the rows and the noise.
            people: The number of the person of each row, who is either trained on or watched; ``None``: every row is one.
            beyond: Where ``rows`` are only a sample of what is to be learnt: called with the indices of the rows that are
                watched, and a seed, it returns the source of all rows but those.
            held_out: What :meth:`held_out` returned for these rows, seed and people; ``None``: it is asked now.

        Returns:
            The learning curves, the best epoch, and why training ended.

        Raises:
            DivergedError: The loss was not a finite number before any epoch could be validated.
        """
        seed = root(seed)
        held_out = self.held_out(len(rows[0]), seed, people) if held_out is None else held_out
        run = _Run(self, module.to(self.device), rows, held_out, seed, beyond)
        with closing(run.rows), one_thread(), flushed_denormals(), run.pool or nullcontext(), closing(run.weights):
            run.train()
        return run.training

    def held_out(
        self, n_rows: int, seed: int | np.random.SeedSequence, people: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """Return the indices of the rows that :meth:`fit` will watch and not train on: nothing else should learn from them, either.

        Its arguments are the number of the rows, and the seed and the people that :meth:`fit` will be given.

        There are none where no row would be left to train on.
        """
        n_held = min(int(n_rows * self.config.validation_fraction), _MOST_VALIDATION_ROWS)
        rng = generator(root(seed), Train.SPLIT)
        return np.flatnonzero(drawn_people(people, n_rows, n_held if n_held < n_rows else 0, rng))


def _lead(gains: Tensor) -> float:
    """Return by how many standard errors losses are lower in the mean, or by sign: squares of few rows have long tails."""
    mean, root = float(gains.mean()), math.sqrt(len(gains))
    return (
        max(root * mean / (float(gains.std(correction=0)) or 1e-300), float(gains.sign().sum()) / root)
        if mean > 0
        else 0.0
    )


class _Descent(NamedTuple):
    """The last part of a trapezoid."""

    first_step: int
    n_steps: int
    last_epoch: int
    share_of_minutes: float


class _Run:
    """One call of ``Trainer.fit``: all that changes while it runs."""

    def __init__(
        self,
        trainer: Trainer,
        module: nn.Module,
        rows: Sequence[Tensor],
        held_out: NDArray[np.int64],
        seed: np.random.SeedSequence,
        beyond: OtherRows | None,
    ) -> None:
        config = trainer.config
        self.validation_seed, shuffle_seed = child(seed, Train.VALIDATION), child(seed, Train.SHUFFLE)
        self.config, self.device, self.module, self.stage = config, trainer.device, module, trainer.stage
        self.verbose, self.on_epoch = trainer.verbose, trainer.on_epoch
        self.told, self.later = trainer.told, trainer.later
        if beyond is None:
            kept = torch.from_numpy(np.setdiff1d(np.arange(len(rows[0])), held_out, assume_unique=True))
            self.rows: RowSource = ShuffledRows(rows, shuffle_seed, kept if len(held_out) else None)
        else:
            self.rows = beyond(held_out, shuffle_seed)
        # Few rows are looked at several times, each with other noise: the best epoch must not be the luckiest one.
        n_passes = max(1, min(_MOST_VALIDATION_PASSES, _VALIDATION_DRAWS // max(1, len(held_out))))
        watched = torch.from_numpy(np.tile(held_out, n_passes))
        self.validation = [t[watched] for t in rows] if len(held_out) else None
        self.epoch_rows = min(config.rows_an_epoch or self.rows.n_rows, self.rows.n_rows)
        self.steps_an_epoch = max(1, math.ceil(self.epoch_rows / config.batch_rows))
        self.workers = Workers()
        # A batch that is not to be cut is computed by the first worker alone.
        n_shards = config.shards if config.shards == 1 else max(config.shards, self.workers.size)
        self.noise = [torch_generator(child(seed, Train.NOISE, i), self.device) for i in range(n_shards)]
        n_mine = math.ceil(n_shards / self.workers.size)
        self.n_threads = min(n_mine, os.cpu_count() or 1) if self.device.type == "cpu" else 1
        self.pool = ThreadPoolExecutor(self.n_threads, initializer=_quiet_thread) if self.n_threads > 1 else None
        self.optimizers = self._optimizers()
        self.average = None if config.average is None else Average(self.weights.values, config.average)
        self.training = Training(validation_rows=held_out)
        self.step = 0
        self.descent: _Descent | None = None
        self.started = time.monotonic()
        self.watched, self.validated_at = [math.nan] * 3, 0
        self.n_held_out = len(held_out)
        # The loss of each row held out, with the weights that are kept and with the newest.
        self.kept_losses = self.losses = torch.full((len(held_out),), math.inf, device=self.device)
        self.best_weights: dict[str, Tensor] | None = None
        # Of the epoch that is under way: its batches so far, and the sums over their rows.
        self.n_batches, self.sums = 0, torch.zeros(4, dtype=torch.float64, device=self.device)
        self.is_over = False

    def _optimizers(self) -> list[tuple[Optimizer, float, slice]]:
        """Make the weights one tensor; return each optimiser, the factor on its learning rate, and what of the weights it moves."""
        config = self.config
        hidden = list(self.module.hidden_matrices()) if config.optimizer == "muon" else []  # type: ignore[operator]
        apart = {id(p) for p in hidden}
        others = [p for p in self.module.parameters() if p.requires_grad and id(p) not in apart]
        decayed, others = [p for p in others if p.ndim >= 2], [p for p in others if p.ndim < 2]
        self.weights = FlatParameters([*decayed, *others, *hidden])
        n_decayed, n_others = (sum(p.numel() for p in part) for part in (decayed, others))
        of_adam, of_muon = slice(0, n_decayed + n_others), slice(n_decayed + n_others, len(self.weights.values))
        adam = Adam(
            self.weights.values[of_adam],
            n_decayed,
            betas=config.betas,
            weight_decay=config.weight_decay,
            decoupled=config.optimizer != "adam",
        )
        if not hidden:
            return [(adam, 1.0, of_adam)]
        run = map if self.pool is None else self.pool.map
        products = getattr(self.module, "products", torch.float32)
        muon = Muon(hidden, weight_decay=config.weight_decay, products=products, run=run, n_side_by_side=self.n_threads)
        return [(adam, 1.0, of_adam), (muon, _MUON_RATE, of_muon)]

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def _share_of_minutes(self) -> float:
        """The part of the minutes that is over, by the clock of the first worker: all must ask at the same step."""
        minutes = self.config.max_minutes
        return 0.0 if minutes is None else self.workers.agreed(self.seconds / (60.0 * minutes))[0]

    def _rate(self) -> float:
        """Factor on the learning rate now: linear warm-up, constant, and in a descent linearly down to 0."""
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps) if self.config.warmup_steps else 1.0
        if self.descent is None:
            return warm
        done = (self.step - self.descent.first_step) / self.descent.n_steps
        # Time counts only where it would run out first, by a step at least, so that a seed fixes the result everywhere else.
        before = self.descent.share_of_minutes
        of_time = (self._share_of_minutes() - before) / (1.0 - before)
        if of_time > done + 1 / self.descent.n_steps:
            done = of_time
        return warm * max(0.0, 1.0 - done)

    # -- going on after an interruption -------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        """Return all that changes while a training runs, as tensors and plain values."""
        training, average = self.training, self.average
        return {
            "is_over": self.is_over,
            "seconds": self.seconds,
            "module": self.module.state_dict(),
            "best": (self.kept_losses, self.best_weights),
            "rows": self.rows.state(),
            "noise": self._noise_states(),
            "optimizers": [optimizer.memory for optimizer, *_ in self.optimizers],
            "average": None if average is None else (average.steps, average.mean),
            "training": ([*map(list, training.history)], training.best_epoch, training.stopped, training.diverged_at),
            "place": (self.step, self.n_batches, self.sums, None if self.descent is None else list(self.descent)),
            "validated": (self.watched, self.validated_at),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        training = self.training
        self.is_over, self.started = state["is_over"], time.monotonic() - state["seconds"]
        self.module.load_state_dict(state["module"])
        kept, self.best_weights = state["best"]
        self.kept_losses = kept.to(self.device)
        self.rows.restore(state["rows"])
        if not state["noise"]:
            raise ValueError
        # As many shards as there were, whatever the number of workers now.
        self.noise = [torch.Generator(self.device).set_state(kept) for kept in state["noise"]]
        for (optimizer, *_), memory in zip(self.optimizers, state["optimizers"], strict=True):
            for tensor, kept in zip(optimizer.memory, memory, strict=True):
                tensor.copy_(kept)
        if self.average is not None:
            self.average.steps, mean = state["average"]
            self.average.mean.copy_(mean)
        history, training.best_epoch, training.stopped, training.diverged_at = state["training"]
        training.history[:] = [Epoch(*row) for row in history]
        self.step, self.n_batches, sums, descent = state["place"]
        self.sums, self.descent = sums.to(self.device), None if descent is None else _Descent(*descent)
        self.watched, self.validated_at = state["validated"]

    def _noise_states(self) -> list[Tensor]:
        """Return where the noise of each shard stands, which the worker knows that computes it."""
        states = [noise.get_state() for noise in self.noise]
        mine = self.workers.mine(range(len(states)))
        for i, state in enumerate(states):
            state *= i in mine
        self.workers.add(states)
        return states

    def _perhaps_save(self) -> None:
        if self.stage is not None and self.workers.agreed(self.is_over or self.stage.is_due)[0]:
            self.stage.save(self._state())

    # -- the loop -----------------------------------------------------------------------------------------------------

    def train(self) -> None:
        config = self.config
        if self.stage is not None:
            self.stage.give(self._restore)
            if self.is_over:
                self.module.eval()
                return
        bar = tqdm(
            total=config.epochs * self.steps_an_epoch,
            initial=self.step,
            disable=not self.verbose,
            desc=self.told,
            unit="step",
            mininterval=0.5,
        )
        due = _SECONDS_BETWEEN_LINES
        try:
            for epoch in range(len(self.training.history) + 1, config.epochs + 1):
                if self.n_batches == 0:
                    self._perhaps_descend(epoch)
                if not self._epoch(epoch, bar):
                    self._stop_diverged(epoch)
                    break
                row = self._close_epoch(epoch)
                bar.set_postfix({"loss": f"{row.loss:.3f}", "validation": f"{row.validation_loss:.3f}"}, refresh=False)
                if self.on_epoch is not None:
                    self.on_epoch(row)
                if self.seconds >= due:  # for those who see no bar
                    text = "%s: epoch %d of at most %d after %.0f s, loss %.3f"
                    logger.info(text, self.told, epoch, config.epochs, self.seconds, row.loss)
                    due = self.seconds + _SECONDS_BETWEEN_LINES
                if self._ends_with(epoch):
                    break
                self._perhaps_save()
        finally:
            bar.close()
            self.module.eval()
            if self.best_weights is not None:
                self.module.load_state_dict(self.best_weights)
        self.workers.share(list(self.module.parameters()))  # machines of different kinds round otherwise
        self.is_over = True
        self._perhaps_save()
        stopped, n_epochs = self.training.stopped, len(self.training.history)
        why = "stopped by max_minutes before it converged" if stopped == "minutes" else f"ended by {stopped}"
        best = f"best epoch {self.training.best_epoch}"
        self._tell(f"{self.told}: {n_epochs} epochs in {self.seconds:.1f} s, {why}, {best}", stopped == "minutes")

    def _out_of_patience(self, epoch: int) -> bool:
        """Whether the validation loss has not improved for ``patience`` epochs, ``epoch`` included."""
        config = self.config
        if config.patience is None or self.validation is None or epoch < config.min_epochs:
            return False
        return epoch - self.training.best_epoch >= config.patience

    def _falls_slowly(self, epoch: int) -> bool:
        """Whether the last quarter of the epochs, ``epoch`` included, lowered the validation loss by less than is worth their time."""
        config = self.config
        if config.least_fall is None or epoch < max(2, _SLOW_AFTER * config.epochs):
            return False
        if self.validation is None:
            return True
        losses = [row.validation_loss for row in self.training.history[:epoch]]
        return min(losses[: math.ceil((1.0 - _LAST_PART) * epoch)]) - min(losses) < config.least_fall

    def _perhaps_descend(self, epoch: int) -> None:
        """Begin the descent of a trapezoid, if it is time: before ``epoch``, or in its middle, where the minutes would end before the next."""
        config = self.config
        if config.schedule != "trapezoid" or self.descent is not None:
            return
        share, n_epochs = self._share_of_minutes(), config.epochs - epoch + 1
        if self._out_of_patience(epoch - 1):
            self.training.stopped = "patience"
            n_epochs = min(n_epochs, max(1, round(_DESCENT_AFTER_BEST * self.training.best_epoch)))
            if self.best_weights is not None:
                self.module.load_state_dict(self.best_weights)
                self.average = None if self.average is None else Average(self.weights.values, self.average.decay)
        elif self._falls_slowly(epoch - 1):
            self.training.stopped = "epochs" if self.validation is None else "patience"
            n_epochs = min(n_epochs, max(1, round(_DESCENT_SHARE / (1.0 - _DESCENT_SHARE) * (epoch - 1))))
        elif n_epochs > max(1, round(_DESCENT_SHARE * config.epochs)) and share < 1.0 - _DESCENT_SHARE:
            return
        n_steps = max(1, n_epochs * self.steps_an_epoch - self.n_batches)
        self.descent = _Descent(self.step, n_steps, epoch + n_epochs - 1, min(share, 0.99))

    def _ends_with(self, epoch: int) -> bool:
        if self._share_of_minutes() >= 1.0:
            self.training.stopped = "minutes"
            return True
        if self.config.schedule == "trapezoid":
            return self.descent is not None and epoch >= self.descent.last_epoch
        if self._out_of_patience(epoch):
            self.training.stopped = "patience"
            return True
        return False

    def _epoch(self, epoch: int, bar: tqdm) -> bool:
        """Train one epoch, or the rest of one; return whether its loss is a finite number."""
        config = self.config
        if not self.module.training:  # of many layers: as long as a tenth of a step
            self.module.train()
        self.workers.share([self.weights.values])
        if self.n_batches == 0:
            self.rows.begin(self.epoch_rows)
        rows_a_batch, n_larger = divmod(self.epoch_rows, self.steps_an_epoch)
        while self.n_batches < self.steps_an_epoch:
            rate = config.learning_rate * self._rate()
            gradient, sums = self._gradient(self.rows.take(rows_a_batch + (self.n_batches < n_larger)))
            self.sums += sums
            if config.gradient_clip is not None:
                gradient.mul_((config.gradient_clip / (gradient.norm() + 1e-6)).clamp_max(1.0))
            for optimizer, factor, part in self.optimizers:
                optimizer.step(rate * factor, gradient[part])
            if self.average is not None:
                self.average.update()
            self.step += 1
            self.n_batches += 1
            bar.update()
            if self.step == _STEPS_BETWEEN_CHECKS:
                self._tell_the_rest()
            if self.step % _STEPS_BETWEEN_CHECKS == 0:
                if not bool(torch.isfinite(self.sums).all()):
                    return False
                if self._share_of_minutes() >= 1.0:
                    break
                self._perhaps_descend(epoch)
                self._perhaps_save()
        return bool(torch.isfinite(self.sums).all())

    def _tell_the_rest(self) -> None:
        """Say how long the fit will take at most, as its first steps have it: a bar knows only its own training."""
        a_step = self.seconds / self.step
        left = a_step * (self.config.epochs * self.steps_an_epoch - self.step)
        left = max(0.0, min(left, 60.0 * (self.config.max_minutes or math.inf) - self.seconds))
        later = self.later(a_step)
        self._tell(f"{self.told}: {duration(left + later)} to go at most, by the first {self.step} steps", later > 0)

    def _tell(self, text: str, is_shown: bool) -> None:
        """Log a line, and show it above the bar, if there is one and it does not say so itself."""
        logger.info(text)
        if is_shown and self.verbose:
            tqdm.write(text, file=sys.stderr)

    def _gradient(self, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the gradient of the batch's mean loss, and sums of loss, reconstruction, KL, rows."""
        n_rows = len(batch[0])
        n_shards = min(len(self.noise), n_rows)
        shards = zip(*(torch.tensor_split(tensor, n_shards) for tensor in batch), strict=True)
        jobs = self.workers.mine(list(zip(shards, self.noise, strict=False)))
        if self.pool is None:
            done = [self._shard(rows, noise, n_rows) for rows, noise in jobs]
        else:
            futures = [self.pool.submit(self._shard, rows, noise, n_rows) for rows, noise in jobs]
            done = [future.result() for future in futures]
        if not done:
            done = [(torch.zeros_like(self.weights.values), torch.zeros_like(self.sums))]
        gradient, sums = done[0]
        for more_gradient, more_sums in done[1:]:
            gradient += more_gradient
            sums = sums + more_sums
        self.workers.add([gradient])
        self.workers.add([sums])
        return gradient, sums

    def _shard(self, rows: Sequence[Tensor], noise: torch.Generator, n_rows: int) -> tuple[Tensor, Tensor]:
        """The gradient of one part of a batch, as its share of the mean over ``n_rows``, and its sums."""
        terms = self.module(*(tensor.to(self.device, non_blocking=True) for tensor in rows), generator=noise)
        loss = terms.objective.sum()
        parameters = self.weights.parameters
        gradients = torch.autograd.grad(loss / n_rows, parameters, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            figures = [loss.detach(), terms.reconstruction.sum(), terms.kl.sum(), loss.new_tensor(len(rows[0]))]
            sums = torch.stack(figures).to(torch.float64)
        return joined(gradients), sums

    def _close_epoch(self, epoch: int) -> Epoch:
        loss, reconstruction, kl = (self.sums[:3] / self.sums[3]).tolist()
        self.n_batches, self.sums = 0, torch.zeros_like(self.sums)
        lead = 0.0
        if self.validation is not None and self._is_time_to_validate(epoch):
            *self.watched, lead = self.workers.agreed(*self._validate())
            self.validated_at = self.step
        watched = self.watched
        row = Epoch(epoch, round(self.seconds, 3), loss, reconstruction, kl, *watched)
        self.training.history.append(row)
        # Without validation rows the last weights are kept: a falling training loss says nothing about their quality.
        last = self.validation is None
        if last or lead > self.config.least_lead or self.best_weights is None:
            self.kept_losses = self.losses
            self.training.best_epoch = epoch
            self.best_weights = self._weights()
        return row

    def _is_time_to_validate(self, epoch: int) -> bool:
        is_last = epoch == (self.config.epochs if self.descent is None else self.descent.last_epoch)
        return is_last or self.validated_at == 0 or self.step - self.validated_at >= _STEPS_BETWEEN_VALIDATIONS

    def _averaged(self) -> AbstractContextManager[None]:
        """The weights that are validated and kept, in the module for the length of the block."""
        return nullcontext() if self.average is None else self.average.in_place()

    def _weights(self) -> dict[str, Tensor]:
        with self._averaged():
            return {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}

    @torch.no_grad()
    def _validate(self) -> list[float]:
        """Means of loss, reconstruction and KL over the validation rows, and how surely the loss is lower than that of the weights that are kept."""
        assert self.validation is not None
        module = self.module.eval()
        # The same noise every time: two epochs then differ by their weights alone.
        noise = torch_generator(self.validation_seed, self.device)
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        n_rows, losses = len(self.validation[0]), []
        with self._averaged():
            for start in range(0, n_rows, 4096):
                batch = [t[start : start + 4096].to(self.device) for t in self.validation]
                terms: ElboTerms = module(*batch, generator=noise)
                sums += torch.stack([terms.objective.sum(), terms.reconstruction.sum(), terms.kl.sum()]).double()
                losses.append(terms.objective)
        self.losses = torch.cat(losses).view(-1, self.n_held_out).mean(0)
        return [*(sums / n_rows).tolist(), _lead((self.kept_losses - self.losses).double())]

    def _stop_diverged(self, epoch: int) -> None:
        self.training.stopped, self.training.diverged_at = "diverged", epoch
        if self.best_weights is None:
            text = f"the loss is no longer a finite number in epoch {epoch}, before any weights were worth keeping"
            cure = "lower learning_rate, set gradient_clip (such as 1.0), or look for extreme values in the table"
            raise DivergedError(f"{text}; {cure}")
