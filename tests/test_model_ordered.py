"""Numbers that are choices: neighbours share what is learnt of them, and nothing of it stays in the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from clover_tvae import TVAESynthesizer
from clover_tvae.backends import native
from clover_tvae.encoded import ColumnLayout, TableLayout
from clover_tvae.model.autoregressive import AutoregressiveDecoder
from clover_tvae.model.decoder import Decoder
from clover_tvae.model.ordered import told_order
from clover_tvae.model.rows import Rows

LAYOUT = TableLayout((ColumnLayout(6, n_numbered=1, missing=5), ColumnLayout(3)), numbers="rank")
RANKS = [np.array([np.nan, 0.1, 0.4, 0.6, 0.9, np.nan]), None]


def made() -> AutoregressiveDecoder:
    decoder = AutoregressiveDecoder(2, (16, 16), LAYOUT)
    decoder.initialise(torch.Generator().manual_seed(1))
    return decoder


def test_lines_are_added_up_once_learnt() -> None:
    decoder, generator = made(), torch.Generator().manual_seed(2)
    before = {name: tensor.shape for name, tensor in decoder.state_dict().items()}
    rows = Rows.blank(6, LAYOUT)
    rows.choices[:, 0] = torch.arange(6)
    known = torch.zeros(6, 2, dtype=torch.bool)
    known[:3, 0] = True

    def told() -> torch.Tensor:
        return decoder.log_likelihood(torch.ones(6, 2), rows, known)

    with told_order(decoder, RANKS, generator):
        lines = [module for name, module in decoder.named_modules() if name.endswith("parametrizations.weight.0")]
        with torch.no_grad():
            for line in lines:
                line.slopes.normal_(generator=generator)  # type: ignore[operator, union-attr]
        inside = told()
    assert lines
    torch.testing.assert_close(told(), inside)
    assert {name: tensor.shape for name, tensor in decoder.state_dict().items()} == before
    assert type(decoder) is AutoregressiveDecoder


def test_only_numbers_move_together() -> None:
    decoder = made()
    cells = decoder.cells.detach().clone()
    with told_order(decoder, RANKS, torch.Generator().manual_seed(2)):
        pass
    moved = (decoder.cells != cells).any(1).nonzero().squeeze(1).tolist()
    assert moved == [1, 2, 3, 4]


def test_other_decoders_and_columns_of_names_are_left_alone() -> None:
    layout = TableLayout((ColumnLayout(3), ColumnLayout(2)))
    for decoder in (made(), Decoder(2, (8,), 5, layout)):
        before = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
        with told_order(decoder, [None, None], torch.Generator().manual_seed(2)):
            assert decoder.state_dict().keys() == before.keys()
        assert all(torch.equal(tensor, before[name]) for name, tensor in decoder.state_dict().items())


@pytest.mark.long
def test_ages_of_40_values_hang_together_after_a_short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    age = rng.integers(20, 60, 600)
    df = pd.DataFrame({"age": age, "years": np.clip(age + np.rint(rng.normal(0, 4, 600)).astype(int), 20, 59)})

    def correlation() -> float:
        synth = TVAESynthesizer(
            df, {"continuous": ["age", "years"]}, random_state=1, epochs=30, privacy="none", decompress_dims=[32, 32],
            compress_dims=[32], verbose=False,
        )  # fmt: skip
        synth.fit()
        return float(synth.sample(2_000).astype(float).corr().iloc[0, 1])

    with_order = correlation()

    @contextmanager
    def untold(*_: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(native, "told_order", untold)
    assert with_order > correlation() + 0.1
