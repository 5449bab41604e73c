"""Which drawn rows are kept: trees that learn how they differ from learnt ones, as a file holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.encoded import ColumnLayout, TableLayout
from clover_tvae.model.judge import _DEPTH, RowJudge, _write
from clover_tvae.model.rows import Rows

LAYOUT = TableLayout((ColumnLayout(1, n_numbered=1), ColumnLayout(3)), numbers="rank")


def rows_of(ranks: torch.Tensor, categories: torch.Tensor) -> Rows:
    choices = torch.stack([torch.zeros_like(categories), categories], 1)
    return Rows.blank(len(ranks), LAYOUT)._replace(choices=choices, scalars=ranks.unsqueeze(1))


def random_rows(n: int, seed: int) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    return rows_of(torch.rand(n, generator=generator), torch.randint(3, (n,), generator=generator))


def tied_rows(n: int, seed: int) -> Rows:
    """Of a high rank the category is 2, which chance alone gives every third row."""
    rows = random_rows(n, seed)
    category = torch.where(rows.scalars[:, 0] > 0.5, 2, rows.choices[:, 1])
    return rows_of(rows.scalars[:, 0], category)


def judge_of(learnt: Rows, drawn: Rows, n_trees: int = 40, **beside: list[torch.Tensor]) -> RowJudge:
    judge = RowJudge(LAYOUT, n_trees)
    judge.learn(learnt, drawn, [np.full(1, np.nan), None], np.random.default_rng(1), **beside)
    return judge


def test_written_trees_say_what_the_grown_ones_say() -> None:
    rng = np.random.default_rng(2)
    cells = rng.normal(size=(3_000, 4)).astype(np.float32)
    cells[:, 2] = 1 + rng.integers(0, 8, 3_000) * np.finfo(np.float32).eps  # numbers that follow each other
    cells[:, 0] += cells[:, 2] > 1 + 3 * np.finfo(np.float32).eps
    labels = (cells[:, 0] * cells[:, 1] + 0.3 * rng.normal(size=3_000) > 0).astype(int)
    model = HistGradientBoostingClassifier(max_iter=30, max_depth=_DEPTH, early_stopping=False).fit(cells, labels)
    judge = RowJudge(LAYOUT, 30)
    arrays = [part.numpy() for part in (judge.features, judge.thresholds, judge.leaves)]
    for tree, (grown,) in enumerate(model._predictors):
        _write(grown.nodes, *(array[tree] for array in arrays))
    found, expected = judge._scores(torch.from_numpy(cells)).numpy(), model.decision_function(cells)
    assert np.ptp(found - expected) < 1e-3
    assert np.ptp(expected) > 1


def test_what_is_drawn_too_seldom_is_likelier_and_the_ratio_is_calibrated() -> None:
    judge = judge_of(tied_rows(6_000, 1), random_rows(18_000, 2))
    assert judge.is_on
    high = torch.full((3,), 0.8)
    ratio = judge.log_ratio(rows_of(high, torch.arange(3))).exp()
    assert ratio[2] / ratio[0] > 20, "a high rank beside another category is never learnt"
    low = judge.log_ratio(rows_of(torch.full((3,), 0.2), torch.arange(3))).exp()
    assert low.max() / low.min() < 1.5
    assert float(ratio[2] / low[2]) == pytest.approx(3, rel=0.4), "learnt three times as often as drawn"


def test_rows_that_are_alike_are_not_judged_nor_are_too_few() -> None:
    assert not judge_of(random_rows(4_000, 1), random_rows(12_000, 2)).is_on
    assert not judge_of(tied_rows(300, 1), random_rows(900, 2)).is_on
    assert not RowJudge(LAYOUT).is_on


def test_numbers_beside_the_cells_are_judged_too() -> None:
    learnt, drawn = random_rows(4_000, 1), random_rows(12_000, 2)
    beside = [torch.rand(4_000, 1) ** 2, torch.rand(12_000, 1)]
    judge = judge_of(learnt, drawn, beside=beside)
    assert judge.is_on
    low, high = (float(judge.log_ratio(drawn, torch.full((12_000, 1), at)).mean()) for at in (0.05, 0.9))
    assert low > high + 1


def test_a_damaged_judge_gives_numbers() -> None:
    judge = RowJudge(LAYOUT, 3)
    for features, leaves in ((1e30, 1e38), (-7.0, -1e38), (2.5, 0.0)):
        judge.features.fill_(features)
        judge.leaves.fill_(leaves)
        assert bool(torch.isfinite(judge.log_ratio(random_rows(50, 1))).all())


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    base, more = rng.gamma(2, 2, (2, 260)).round(1)
    ward = np.where(rng.random(260) < 0.8, np.array(["A", "B", "C"])[(base > 3) + 1 * (more > 4)], "A")
    return pd.DataFrame({"ward": ward, "base": base, "total": (base + more).round(1), "more": more})


@pytest.fixture(scope="module")
def synth(table: pd.DataFrame) -> TVAESynthesizer:
    return TVAESynthesizer(table, Metadata.infer(table), random_state=1, verbose=False).fit()


def vae_of(synth: TVAESynthesizer):  # type: ignore[no-untyped-def]
    backend = synth._learnt().backend
    return getattr(backend, "inner", backend)._known.vae


@pytest.fixture
def judging(synth: TVAESynthesizer) -> TVAESynthesizer:
    """The same file, whose judge has learnt that one ward is drawn far too seldom."""
    vae, backend = vae_of(synth), synth._learnt().backend
    transform = getattr(backend, "inner", backend).transform
    ward = transform.names.index("ward")
    start = int(vae.judge.starts[ward])
    kept = {name: buffer.clone() for name, buffer in vae.judge.named_buffers()}
    for part in (vae.judge.features, vae.judge.thresholds, vae.judge.leaves, vae.judge.places):
        part.zero_()
    cells = transform.transforms[ward]
    wanted = next(i for i in range(cells.layout.n_base) if cells.categories[i] == "C")
    vae.judge.places[start + wanted] = 1.0
    vae.judge.features[0].fill_(transform.layout.n_scalars + ward)
    vae.judge.thresholds[0].fill_(0.5)
    vae.judge.leaves[0, -1] = 1.0
    yield synth
    for name, buffer in vae.judge.named_buffers():
        buffer.copy_(kept[name])


def test_rows_are_kept_in_proportion_to_their_ratio(judging: TVAESynthesizer) -> None:
    rows = judging.sample(20_000, random_state=5)
    even = judging.sample(20_000, random_state=5, decode="stratified")  # taken as they come
    before, after = ((part["ward"] == "C").mean() for part in (even, rows))
    assert after == pytest.approx(np.e * before / (1 + (np.e - 1) * before), abs=0.015)


def test_a_longer_table_begins_with_the_shorter_and_conditions_are_met(judging: TVAESynthesizer) -> None:
    rows = judging.sample(5_000, random_state=6)
    pd.testing.assert_frame_equal(judging.sample(300, random_state=6), rows.head(300))
    rest = pd.concat(judging.sample_frames(5_000, random_state=6, skip=3_000), ignore_index=True)
    pd.testing.assert_frame_equal(rest, rows.iloc[3_000:].reset_index(drop=True))
    met = judging.sample(500, {"ward": "B"}, random_state=6)
    assert set(met["ward"]) == {"B"}


def test_a_file_holds_its_judge(judging: TVAESynthesizer, tmp_path: Path) -> None:
    judging.save(tmp_path / "generator.pkl")
    loaded = TVAESynthesizer.load(tmp_path / "generator.pkl")
    assert vae_of(loaded).judge.is_on
    pd.testing.assert_frame_equal(loaded.sample(2_000, random_state=7), judging.sample(2_000, random_state=7))


def test_small_students_have_a_judge_and_a_table_that_is_learnt_itself_has_none(
    synth: TVAESynthesizer, table: pd.DataFrame
) -> None:
    assert vae_of(synth).judge.n_trees
    open_book = TVAESynthesizer(
        table, Metadata.infer(table), random_state=1, verbose=False, privacy="none", epochs=2
    ).fit()
    assert not vae_of(open_book).judge.n_trees


def test_what_is_learnt_hangs_on_the_seed_alone() -> None:
    parts = tied_rows(3_000, 1), random_rows(9_000, 2)
    first = judge_of(*parts)
    np.random.seed(5)
    assert torch.equal(judge_of(*parts).leaves, first.leaves)
