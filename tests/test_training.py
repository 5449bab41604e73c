"""The trainer: general, repeatable, bounded in time, and never worse than its best epoch."""

from __future__ import annotations

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clover_tvae.errors import ConfigError, DivergedError
from clover_tvae.training import ElboTerms, Epoch, Trainer, TrainingConfig, trainer
from clover_tvae.training.optimizers import Adam, FlatParameters, joined


class Line(nn.Module):
    """Least squares with a little noise: as small as a module that returns ELBO terms can be."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 2))
        self.bias = nn.Parameter(torch.zeros(1))
        self.seen: list[int] = []

    def hidden_matrices(self) -> list[nn.Parameter]:
        return [self.weight]

    def forward(self, x: Tensor, y: Tensor, *, generator: torch.Generator) -> ElboTerms:
        self.seen.append(len(x))
        noise = 0.01 * torch.randn(len(x), generator=generator)
        error = (x @ self.weight.T).squeeze(1) + self.bias + noise - y
        return ElboTerms(error.square(), torch.zeros(len(x)))


def data(n: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, generator=generator)
    return x, x @ torch.tensor([2.0, -1.0]) + 0.5


def fit(config: TrainingConfig, seed: int = 1, module: nn.Module | None = None):
    module = module or Line()
    return module, Trainer(config, verbose=False).fit(module, data(), seed=seed)


@pytest.mark.long
def test_it_learns():
    line, training = fit(TrainingConfig(epochs=60, batch_rows=20, learning_rate=0.05))
    assert line.weight.detach().numpy() == pytest.approx(np.array([[2.0, -1.0]]), abs=0.02)
    assert training.stopped == "epochs"
    assert len(training.history) == 60
    assert training.history[-1].loss < 0.01 * training.history[0].loss
    # A pickle of a part of a larger memory holds the whole.
    assert all(p.untyped_storage().nbytes() == p.nbytes for p in line.parameters())
    assert training.history[0]._fields == Epoch._fields


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_moves_as_torch_s_own_does(decoupled):
    torch.manual_seed(1)
    ours = torch.nn.ParameterList([torch.randn(4, 3), torch.randn(3)])
    theirs = torch.nn.ParameterList([p.detach().clone() for p in ours])
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    groups = [{"params": [theirs[0]], "weight_decay": 0.1}, {"params": [theirs[1]], "weight_decay": 0.0}]
    reference = kind(groups, lr=0.01, betas=(0.8, 0.95))
    optimizer = Adam(
        FlatParameters(ours).values, ours[0].numel(), betas=(0.8, 0.95), weight_decay=0.1, decoupled=decoupled
    )
    for _ in range(20):
        for its in theirs:
            its.grad = torch.randn(its.shape)
        reference.step()
        optimizer.step(0.01, joined(its.grad for its in theirs))
    for mine, its in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, its, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_one_seed_gives_the_same_weights_and_another_seed_others(optimizer):
    config = TrainingConfig(
        epochs=3,
        batch_rows=20,
        optimizer=optimizer,
        average=0.9,
        gradient_clip=1.0,
        warmup_steps=5,
        schedule="trapezoid",
    )
    first, second, other = fit(config)[0], fit(config)[0], fit(config, seed=2)[0]
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, other.weight)


def test_shards_give_the_same_result_whatever_the_threads_and_leave_torch_as_it_was(monkeypatch):
    config = TrainingConfig(epochs=3, batch_rows=20, shards=2)
    threads = torch.get_num_threads()
    before = torch.get_rng_state()
    side_by_side = fit(config)[0]
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    one_by_one = fit(config)[0]
    assert torch.equal(side_by_side.weight, one_by_one.weight)


def test_the_gradient_of_shards_is_the_gradient_of_the_batch():
    class Exact(Line):
        def forward(self, x, y, *, generator):
            return ElboTerms(((x @ self.weight.T).squeeze(1) + self.bias - y).square(), torch.zeros(len(x)))

    whole = fit(TrainingConfig(epochs=2, batch_rows=50), module=Exact())[0]
    parts = fit(TrainingConfig(epochs=2, batch_rows=50, shards=3), module=Exact())[0]
    assert torch.allclose(whole.weight, parts.weight, atol=1e-6)


def test_batches_are_nearly_equal_and_none_is_larger_than_asked():
    line = fit(TrainingConfig(epochs=1, batch_rows=64, validation_fraction=0.0))[0]
    assert sum(line.seen) == 200
    assert max(line.seen) <= 64
    assert max(line.seen) - min(line.seen) <= 1


def test_held_out_rows_are_not_trained_on():
    line, training = fit(TrainingConfig(epochs=1, batch_rows=200, validation_fraction=0.1))
    assert len(training.validation_rows) == len(set(training.validation_rows)) == 20
    assert line.seen[0] == 180
    assert set(line.seen[1:]) == {16 * 20}  # few rows are watched with 16 draws of noise
    assert math.isfinite(training.history[0].validation_loss)


def test_without_validation_rows_the_curves_say_so():
    training = fit(TrainingConfig(epochs=2, validation_fraction=0.0))[1]
    assert math.isnan(training.history[-1].validation_loss)
    assert training.best_epoch == 2


def test_early_stopping_keeps_the_best_weights():
    """A learning rate so large that the loss gets worse: the first epochs are the best ones."""
    config = TrainingConfig(epochs=200, batch_rows=20, learning_rate=3.0, patience=5, min_epochs=8)
    line, training = fit(config)
    losses = [epoch.validation_loss for epoch in training.history]
    assert training.stopped == "patience"
    assert len(losses) < 200
    assert len(losses) >= 8
    assert training.best_epoch == 1 + int(np.argmin(losses))
    x, y = data()
    rows = training.validation_rows
    error = ((x @ line.weight.detach().T).squeeze(1) + line.bias.detach() - y)[torch.from_numpy(rows)].square().mean()
    assert float(error) == pytest.approx(min(losses), rel=0.05, abs=0.01)


class Falling(Line):
    """Its loss on rows held out falls with every look, by 0.1 for some of them."""

    def __init__(self, rows: slice) -> None:
        super().__init__()
        self.rows, self.n_looks = rows, 0

    def forward(self, x: Tensor, y: Tensor, *, generator: torch.Generator) -> ElboTerms:
        terms = super().forward(x, y, generator=generator)
        if self.training:
            return terms
        self.n_looks += 1
        losses = torch.full((len(x),), 10.0)
        losses.view(-1, 10)[:, self.rows] -= 0.1 * self.n_looks
        return terms._replace(loss=losses)


@pytest.mark.parametrize(
    ("n_rows", "least_lead", "best_epoch"), [(1, 1.5, 1), (1, 0.0, 30), (3, 1.5, 30), (10, 1.5, 30)]
)
def test_weights_that_are_better_for_one_row_alone_are_kept_on_request(
    n_rows: int, least_lead: float, best_epoch: int
) -> None:
    """A loss that falls for one of ten rows held out is lower by no more than chance has it."""
    config = TrainingConfig(epochs=30, batch_rows=10, learning_rate=0.05, least_lead=least_lead)
    training = fit(config, module=Falling(slice(0, n_rows)))[1]
    assert np.argmin([epoch.validation_loss for epoch in training.history]) == 29
    assert training.best_epoch == best_epoch


@pytest.mark.long
def test_a_trapezoid_descends_from_the_best_weights_when_patience_runs_out():
    config = TrainingConfig(epochs=200, batch_rows=20, learning_rate=0.5, patience=6, schedule="trapezoid")
    line, training = fit(config)
    losses = [epoch.validation_loss for epoch in training.history]
    assert training.stopped == "patience"
    assert len(losses) < 200
    assert losses[training.best_epoch - 1] == min(losses) == pytest.approx(losses[-1], rel=0.2)
    # Large steps leave noise in the weights; the descent takes it away.
    constant = fit(TrainingConfig(epochs=len(losses), batch_rows=20, learning_rate=0.5))[1]
    assert losses[-1] < 0.8 * np.mean([epoch.validation_loss for epoch in constant.history[-10:]])
    assert line.weight.detach().numpy() == pytest.approx(np.array([[2.0, -1.0]]), abs=0.02)


def test_a_trapezoid_without_patience_uses_every_epoch():
    training = fit(TrainingConfig(epochs=10, batch_rows=20, schedule="trapezoid"))[1]
    assert (len(training.history), training.best_epoch, training.stopped) == (10, 10, "epochs")


def test_a_trapezoid_descends_where_the_loss_falls_slowly():
    def n_epochs(**how: float) -> int:
        config = TrainingConfig(epochs=40, batch_rows=20, learning_rate=1e-4, schedule="trapezoid", **how)  # type: ignore[arg-type]
        return len(fit(config)[1].history)

    # 14 epochs, the least before it may descend, are 70% of 20.
    assert n_epochs(least_fall=1e9) == n_epochs(least_fall=1e9, validation_fraction=0.0) == 20
    assert n_epochs(least_fall=1e-9) == n_epochs() == 40


@pytest.mark.long
def test_min_epochs_holds_early_stopping_back():
    config = TrainingConfig(epochs=50, batch_rows=20, learning_rate=3.0, patience=1, min_epochs=30)
    assert len(fit(config)[1].history) >= 30


@pytest.mark.long
def test_minutes_end_the_training():
    config = TrainingConfig(epochs=10**6, batch_rows=20, max_minutes=0.01, schedule="trapezoid")
    training = fit(config)[1]
    assert training.stopped == "minutes"
    assert training.history[-1].seconds < 10


def test_a_limit_that_is_far_away_changes_no_weight_however_slow_the_clock(monkeypatch):
    config = TrainingConfig(epochs=10, batch_rows=20, learning_rate=0.05, schedule="trapezoid")
    expected = fit(config)[0].weight
    now = itertools.count(0.0, 0.9)  # each look at it finds it later
    monkeypatch.setattr("clover_tvae.training.trainer.time.monotonic", lambda: next(now))
    assert torch.equal(fit(dataclasses.replace(config, max_minutes=10))[0].weight, expected)


def test_a_diverging_loss_keeps_the_best_weights_or_says_that_there_are_none():
    class Trap(Line):
        steps = 0

        def forward(self, x, y, *, generator):
            terms = super().forward(x, y, generator=generator)
            if self.training:
                self.steps += 1
            return ElboTerms(terms.reconstruction * (math.nan if self.steps > 30 else 1.0), terms.kl)

    trap, training = fit(TrainingConfig(epochs=20, batch_rows=20), module=Trap())
    assert training.stopped == "diverged"
    assert training.diverged_at == 4
    assert torch.isfinite(trap.weight).all()

    class Dead(Line):
        def forward(self, x, y, *, generator):
            return ElboTerms(super().forward(x, y, generator=generator).reconstruction * math.inf, torch.zeros(len(x)))

    with pytest.raises(DivergedError, match="learning_rate"):
        fit(TrainingConfig(epochs=3, batch_rows=20), module=Dead())


@pytest.mark.parametrize("shards", [1, 2])
def test_weight_decay_leaves_biases_alone_and_the_gradient_of_a_sum_is_whole(shards):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(1, 2)), nn.Parameter(torch.ones(1))

        def forward(self, x, y, *, generator):
            return ElboTerms(0.0 * self.weight.sum() * x[:, 0] + 0.0 * self.bias, torch.zeros(len(x)))

    config = TrainingConfig(epochs=3, batch_rows=20, weight_decay=0.5, learning_rate=0.1, shards=shards)
    idle = fit(config, module=Idle())[0]
    assert idle.weight.max().item() < 1.0
    assert idle.bias.item() == 1.0


def test_the_average_is_what_is_validated_and_kept():
    live = fit(TrainingConfig(epochs=2, batch_rows=10, learning_rate=0.5))[0]
    averaged = fit(TrainingConfig(epochs=2, batch_rows=10, learning_rate=0.5, average=0.99))[0]
    assert not torch.allclose(live.weight, averaged.weight)


def test_every_epoch_is_reported():
    epochs: list[Epoch] = []
    Trainer(TrainingConfig(epochs=3), verbose=False, on_epoch=epochs.append).fit(Line(), data(), seed=1)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]


def test_the_progress_bar_shows_the_loss(capsys):
    Trainer(TrainingConfig(epochs=2), verbose=True).fit(Line(), data(), seed=1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "training" in shown.err


def test_the_first_steps_say_how_long_it_will_take(caplog):
    caplog.set_level("INFO")
    fit(TrainingConfig(epochs=100, batch_rows=20))
    assert any("to go at most, by the first 25 steps" in line for line in caplog.messages)


def test_what_follows_is_told_above_the_bar_and_so_is_a_limit_that_struck(capsys):
    config = TrainingConfig(epochs=10_000, batch_rows=20, max_minutes=0.003)
    Trainer(config, verbose=True, later=lambda a_step: 7200.0).fit(Line(), data(), seed=1)
    shown = capsys.readouterr().err
    assert "about 2.0 hours to go at most, by the first 25 steps" in shown
    assert "stopped by max_minutes before it converged" in shown


def test_no_time_that_is_left_is_below_zero(caplog, monkeypatch):
    caplog.set_level("INFO")
    clock = itertools.count(step=100)  # seconds: the first steps take longer than all was to
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    fit(TrainingConfig(epochs=2, batch_rows=1, max_minutes=0.1))
    assert any("about 0 seconds to go" in line for line in caplog.messages)


def test_parameters_out_of_range_are_all_named():
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(
            epochs=0, learning_rate=-1.0, optimizer="sgd", validation_fraction=1.0, patience=0, max_minutes=0
        )
    places = [problem.where for problem in caught.value.problems]
    assert places == ["epochs", "learning_rate", "optimizer", "validation_fraction", "patience", "max_minutes"]


@pytest.mark.long
def test_changing_a_parameter_changes_something():
    base = fit(TrainingConfig(epochs=4, batch_rows=20))[0].weight.detach()
    for change in (
        {"learning_rate": 2e-3},
        {"batch_rows": 25},
        {"warmup_steps": 20},
        {"schedule": "trapezoid"},
        {"betas": (0.5, 0.9)},
        {"optimizer": "muon"},
        {"gradient_clip": 1e-3, "optimizer": "muon"},
        {"validation_fraction": 0.3},
        {"weight_decay": 0.5},
        {"shards": 2},
        {"average": 0.9},
    ):
        assert not torch.equal(fit(TrainingConfig(**{"epochs": 4, "batch_rows": 20, **change}))[0].weight, base), change
