"""The networks: their likelihoods are normalised, their samples follow them, conditions are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clover_tvae.encoded import ColumnLayout, EncodedTable, TableLayout
from clover_tvae.model import AutoregressiveDecoder, Decoder, Encoder, TabularVAE
from clover_tvae.model.build import ModelConfig, build_vae, expected_arrays, to_arrays, vae_from_arrays
from clover_tvae.model.choices import ChoiceColumns, draw_choice, group_by_width, uniform
from clover_tvae.model.devices import Strata, resolve_device, torch_generator
from clover_tvae.model.encoder import draw_posterior, one_hot
from clover_tvae.model.mixture import Mixture, normal_score
from clover_tvae.model.prior import LatentPrior
from clover_tvae.model.products import FusedBlock, Linear, pairs_of, residual, set_products, stacked, sum_of_embeddings
from clover_tvae.model.rows import ConditionTensors, Drawing, OneHotRows, Rows
from clover_tvae.model.vae import table_tensors
from clover_tvae.training.optimizers import orthogonal

CATEGORIES = TableLayout((ColumnLayout(3), ColumnLayout(2), ColumnLayout(7, missing=6)), "rank")
MIXED = TableLayout((ColumnLayout(3), ColumnLayout(4, n_numbered=1, missing=3), ColumnLayout(1, n_numbered=1)), "rank")
COPIES = TableLayout(
    (ColumnLayout(2, n_numbered=1, copies=(1,)), ColumnLayout(2, n_numbered=1, copies=(0,)), ColumnLayout(2)), "rank"
)
MODES = TableLayout((ColumnLayout(3), ColumnLayout(5, n_numbered=4, missing=4)), "mode")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def autoregressive(layout: TableLayout, seed: int = 0, scale: float = 3.0) -> AutoregressiveDecoder:
    """A decoder with strong weights, so that its distributions are far from uniform."""
    decoder = AutoregressiveDecoder(4, (24, 24), layout)
    decoder.initialise(generator(seed))
    with torch.no_grad():
        for head in decoder.heads:
            head.weight.mul_(10 * scale)
    return decoder.eval()


def independent(layout: TableLayout) -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(4, (16,), layout.n_choices + layout.n_scalars, layout)
    with torch.no_grad():
        decoder.last.weight.mul_(5)
    return decoder.eval()


def all_rows(layout: TableLayout) -> Rows:
    grids = torch.meshgrid(*[torch.arange(c.n_base) for c in layout.columns], indexing="ij")
    choices = torch.stack([g.flatten() for g in grids], 1)
    return Rows(choices, torch.zeros(len(choices), layout.n_scalars), torch.zeros(len(choices), 0, dtype=torch.bool))


@pytest.mark.parametrize("make", [autoregressive, independent])
def test_the_probabilities_of_each_column_sum_to_one(make):
    rows = all_rows(CATEGORIES)
    z = torch.randn(1, 4, generator=generator(1)).expand(len(rows.choices), 4)
    cells = make(CATEGORIES).log_likelihood(z, rows, torch.zeros(rows.choices.shape, dtype=torch.bool))
    for i, column in enumerate(CATEGORIES.columns):
        per_choice = {int(c): float(p) for c, p in zip(rows.choices[:, i], cells[:, i].exp().detach(), strict=True)}
        assert len(per_choice) == column.n_choices
        assert sum(per_choice.values()) == pytest.approx(1.0, abs=1e-5)


def test_known_cells_score_zero_and_change_the_others():
    decoder, rows = autoregressive(CATEGORIES), all_rows(CATEGORIES)
    z = torch.zeros(len(rows.choices), 4)
    nothing = torch.zeros(rows.choices.shape, dtype=torch.bool)
    first = nothing.clone()
    first[:, 0] = True
    alone, given = decoder.log_likelihood(z, rows, nothing), decoder.log_likelihood(z, rows, first)
    assert (given[:, 0] == 0).all()
    assert not torch.allclose(alone[:, 1:], given[:, 1:])


@pytest.mark.parametrize("products", [torch.float32, torch.bfloat16])
def test_samples_of_the_autoregressive_decoder_follow_its_own_chain_rule(products):
    """Frequencies of all 42 rows, drawn in the order 0, 1, 2, against the product of conditionals in float32."""
    decoder, rows = autoregressive(CATEGORIES, scale=1.0), all_rows(CATEGORIES)
    z = torch.ones(len(rows.choices), 4)
    log_p = torch.zeros(len(rows.choices))
    known = torch.zeros(rows.choices.shape, dtype=torch.bool)
    for i in range(3):
        log_p += decoder.log_likelihood(z, rows, known)[:, i]
        known[:, i] = True
    n = 40_000
    set_products(decoder, products)
    drawn, _ = decoder.sample(
        torch.ones(n, 4),
        Rows.blank(n, CATEGORIES),
        torch.zeros(n, 3, dtype=torch.bool),
        generator(2),
        Drawing([[(0,), (1,), (2,)]]),
    )
    code = drawn.choices @ torch.tensor([14, 7, 1])
    wanted = rows.choices @ torch.tensor([14, 7, 1])
    share = torch.bincount(code, minlength=42).double() / n
    expected = torch.zeros(42, dtype=torch.float64)
    expected[wanted] = log_p.exp().double().detach()
    assert expected.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (share - expected).abs().sum().item() / 2 < 0.02


def test_the_training_estimate_is_unbiased():
    """The mean of the C/k-weighted estimate is the mean of the chain rule over orders (Hoogeboom et al. 2022, eq. 5)."""
    decoder = autoregressive(CATEGORIES, scale=1.0)
    row = Rows(torch.tensor([[1, 0, 3]]), torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.bool))
    z = torch.ones(1, 4)
    exact = []
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        known, total = torch.zeros(1, 3, dtype=torch.bool), 0.0
        for i in order:
            total += decoder.log_likelihood(z, row, known)[0, i].item()
            known[0, i] = True
        exact.append(total)
    n = 30_000
    many = Rows(*(part.expand(n, *part.shape[1:]) for part in row))
    estimate = decoder.elbo_log_likelihood(z.expand(n, 4), many, generator(3)).mean()
    assert estimate.item() == pytest.approx(float(np.mean(exact)), abs=0.03)


def test_a_column_that_is_emphasised_counts_more_while_weights_are_learnt_and_is_told_as_it_was():
    decoder = autoregressive(CATEGORIES, scale=1.0)
    rows = Rows(torch.tensor([[1, 0, 3]] * 9), torch.zeros(9, 0), torch.zeros(9, 0, dtype=torch.bool))
    z = torch.ones(9, 4)
    plain = decoder.eval().elbo_log_likelihood(z, rows, generator(3))
    decoder.emphasise(1, 4.0)
    torch.testing.assert_close(decoder.elbo_log_likelihood(z, rows, generator(3)), plain)
    trained = decoder.train().elbo_log_likelihood(z, rows, generator(3))
    ones, fours = (torch.autograd.grad(total.sum(), decoder.heads[0].bias)[0] for total in (plain, trained))
    wanted = torch.tensor([1.0, 4.0, 1.0])[list(decoder.groups[0].columns)].repeat_interleave(decoder.groups[0].width)
    torch.testing.assert_close(fours, ones * wanted)


def test_the_density_of_a_rank_integrates_to_one():
    decoder = autoregressive(MIXED)
    ranks = torch.linspace(0.0005, 0.9995, 1000)
    rows = Rows(torch.tensor([[0, 0, 0]]).expand(1000, 3), torch.stack([ranks, ranks], 1), torch.zeros(1000, 0).bool())
    known = torch.tensor([[True, True, False]]).expand(1000, 3)
    rows.scalars[:, 0] = 0.3
    density = decoder.log_likelihood(torch.ones(1000, 4), rows, known)[:, 2].exp()
    assert density.mean().item() == pytest.approx(1.0, abs=0.02)


def test_a_mixture_draws_what_its_density_says():
    parameters = torch.tensor([[[0.0, 1.0], [-1.0, 1.0], [-1.0, -0.5]]]).unsqueeze(3)  # (1, 3, 2, 1)
    mixture = Mixture.of(parameters.expand(1, 3, 2, 20_000))
    drawn = mixture.sample(generator(1))
    assert ((drawn >= 0) & (drawn <= 1)).all()
    below = Mixture.of(parameters).log_mass(torch.zeros(1, 1), torch.full((1, 1), 0.4)).logsumexp(1).exp()
    assert (drawn < 0.4).float().mean().item() == pytest.approx(below.item(), abs=0.015)
    inside = mixture.sample(generator(2), torch.full((1, 20_000), 0.2), torch.full((1, 20_000), 0.25))
    assert inside.min().item() >= 0.2
    assert inside.max().item() <= 0.25
    far = mixture.sample(generator(2), torch.full((1, 20_000), 0.999999), torch.ones(1, 20_000))
    assert torch.isfinite(far).all()


@pytest.mark.parametrize(
    ("make", "layout"),
    [(autoregressive, CATEGORIES), (autoregressive, MIXED), (autoregressive, COPIES), (independent, CATEGORIES)],
)
def test_one_columns_likelihood_is_that_of_all_columns_at_once(make, layout):
    n = 50
    choices = torch.stack(
        [torch.randint(c.n_base, (n,), generator=generator(i)) for i, c in enumerate(layout.columns)], 1
    )
    equals = torch.rand(n, len(layout.copy_pairs), generator=generator(7)) < 0.5
    rows = Rows(choices, torch.rand(n, layout.n_scalars, generator=generator(8)), equals)
    z, decoder = torch.randn(n, 4, generator=generator(9)), make(layout)
    for column in range(layout.n_columns):
        known = torch.rand(n, layout.n_columns, generator=generator(column)) < 0.7
        known[:, column] = False
        alone = decoder.cell_log_likelihood(z, rows, known, column)
        assert torch.allclose(alone, decoder.log_likelihood(z, rows, known)[:, column], atol=1e-5)


def test_normal_scores_are_finite_at_both_ends():
    assert torch.isfinite(normal_score(torch.tensor([0.0, 1.0]))).all()


# -- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_is_open_only_while_its_source_is_known_and_has_a_number():
    decoder = autoregressive(COPIES)
    rows = Rows(torch.tensor([[0, 0, 1], [0, 1, 1]]), torch.full((2, 2), 0.5), torch.zeros(2, 2, dtype=torch.bool))
    known = torch.tensor([[False, True, True], [False, True, True]])
    open_copies = decoder.copies.open(rows, known)
    assert open_copies is not None
    assert open_copies.tolist() == [[True, False], [False, False]]


def test_an_equal_cell_has_the_probability_of_its_copy_choice():
    decoder = autoregressive(COPIES)
    rows = Rows(torch.tensor([[0, 0, 1]]), torch.full((1, 2), 0.5), torch.tensor([[True, True]]))
    known = torch.tensor([[False, True, True]])
    z = torch.ones(1, 4)
    equal = decoder.log_likelihood(z, rows, known)[0, 0].exp()
    unequal = decoder.log_likelihood(z, rows._replace(equals=torch.tensor([[False, False]])), known)[0, 0].exp()
    n = 20_000
    many = Rows(*(part.expand(n, *part.shape[1:]) for part in rows))
    drawn, _ = decoder.sample(
        z.expand(n, 4),
        many,
        known.expand(n, 3),
        generator(5),
        Drawing(translate=lambda c, s, choices, scalars: (choices, scalars)),
    )
    copied = drawn.equals[:, 0].float().mean()
    assert copied.item() == pytest.approx(equal.item(), abs=0.015)
    assert unequal.item() != pytest.approx(equal.item(), abs=1e-3)


def test_without_a_translation_nothing_is_copied():
    decoder = autoregressive(COPIES)
    drawn, _ = decoder.sample(
        torch.ones(500, 4), Rows.blank(500, COPIES), torch.zeros(500, 3, dtype=torch.bool), generator(1)
    )
    assert not drawn.equals.any()
    assert (drawn.choices < torch.tensor([2, 2, 2])).all()


# -- conditions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [autoregressive, independent])
def test_a_condition_is_met_and_its_weight_is_its_probability(make):
    decoder, n = make(CATEGORIES), 5_000
    condition = ConditionTensors(
        torch.tensor([False, True, False, True, False, False, False]), torch.zeros(0), torch.zeros(0)
    )
    z, blank = torch.ones(n, 4), Rows.blank(n, CATEGORIES)
    known = torch.zeros(n, 3, dtype=torch.bool)
    free, _ = decoder.sample(z, blank, known, generator(1), Drawing([[(2,)]]))
    share = ((free.choices[:, 2] == 1) | (free.choices[:, 2] == 3)).float().mean()
    held, log_weight = decoder.sample(z, blank, known, generator(1), Drawing([[(2,)]], {2: condition}))
    assert set(held.choices[:, 2].tolist()) <= {1, 3}
    assert log_weight.exp().mean().item() == pytest.approx(share.item(), abs=0.025)


@pytest.mark.parametrize(("make", "layout", "column"), [(autoregressive, MIXED, 1), (independent, MODES, 1)])
def test_a_range_is_met_and_its_weight_is_its_probability(make, layout, column):
    decoder, n = make(layout), 8_000
    numbered = layout.columns[column].n_numbered
    low, high = (0.3, 0.6) if layout.numbers == "rank" else (-0.5, 0.1)
    choices = torch.arange(layout.columns[column].n_base) < numbered
    condition = ConditionTensors(choices, torch.full((numbered,), low), torch.full((numbered,), high))
    z, blank, known = torch.ones(n, 4), Rows.blank(n, layout), torch.zeros(n, layout.n_columns, dtype=torch.bool)
    free, _ = decoder.sample(z, blank, known, generator(1), Drawing([[(column,)]]))
    inside = (free.choices[:, column] < numbered) & (free.scalars[:, 0] >= low) & (free.scalars[:, 0] <= high)
    held, log_weight = decoder.sample(z, blank, known, generator(2), Drawing([[(column,)]], {column: condition}))
    assert (held.choices[:, column] < numbered).all()
    assert held.scalars[:, 0].min().item() >= low - 1e-6
    assert held.scalars[:, 0].max().item() <= high + 1e-6
    assert log_weight.exp().mean().item() == pytest.approx(inside.float().mean().item(), abs=0.025)


# -- the paper's decoder ----------------------------------------------------------------------------------------------


def test_encoder_and_decoder_have_the_papers_shapes():
    encoder, decoder = Encoder(10, (16, 12), 5), Decoder(5, (12, 16), 10)
    mu, std, logvar = encoder(torch.randn(7, 10, generator=generator()))
    assert mu.shape == std.shape == logvar.shape == (7, 5)
    assert torch.allclose(std, (0.5 * logvar).exp())
    assert decoder(mu).shape == (7, 10)
    assert decoder.sigma.shape == (10,)
    assert torch.allclose(decoder.sigma, torch.full((10,), 0.1))


def test_one_hot_rows_give_what_the_dense_matrix_gives():
    rows = OneHotRows(torch.tensor([[0, 4], [2, 1500]]), torch.tensor([[0.5], [-1.0]]))
    encoder = Encoder(2001, (8,), 3)
    for sparse, dense in zip(encoder(rows), encoder(one_hot(rows, 2001)), strict=True):
        assert torch.allclose(sparse, dense, atol=1e-5)
    flat = Encoder(2001, (), 3)
    assert torch.allclose(flat(rows)[0], flat(one_hot(rows, 2001))[0])


def gaussian_kl(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    return 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar)


def test_the_kl_matches_torch_distributions():
    mu, logvar = torch.randn(4, 3, generator=generator(1)), torch.randn(4, 3, generator=generator(2))
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, (0.5 * logvar).exp()), torch.distributions.Normal(0.0, 1.0)
    )
    assert torch.allclose(draw_posterior(mu, logvar, torch.zeros(4, 3))[1], theirs, atol=1e-6)
    assert torch.allclose(gaussian_kl(mu, logvar), theirs, atol=1e-6)


def test_the_draw_of_the_posterior_and_its_gradient_equal_those_that_torch_records():
    mu, logvar, noise = (torch.randn(50, 3, generator=generator(seed)) for seed in (1, 2, 3))
    logvar = logvar * 8.0  # Some beyond the bounds on either side.
    assert logvar.min().item() < -10.0
    assert logvar.max().item() > 5.0
    weights = torch.rand(2, 50, 3, generator=generator(4))
    mu.requires_grad_()
    logvar.requires_grad_()
    bounded = logvar.clamp(-10.0, 5.0)
    recorded = mu + (0.5 * bounded).exp() * noise, gaussian_kl(mu, bounded)
    written = draw_posterior(mu, logvar, noise)
    for ours, theirs in zip(written, recorded, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    gradients = [
        torch.autograd.grad((weights[0] * z + weights[1] * kl).sum(), (mu, logvar)) for z, kl in (written, recorded)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_number_of_the_independent_decoder_is_a_gaussian_around_tanh():
    decoder = independent(MODES)
    z = torch.ones(1, 4)
    rows = Rows(torch.tensor([[1, 2]]), torch.tensor([[0.2]]), torch.zeros(1, 0, dtype=torch.bool))
    missing = Rows(torch.tensor([[1, 4]]), torch.tensor([[0.2]]), torch.zeros(1, 0, dtype=torch.bool))
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    output = decoder(z)
    logits = output[0, 3:8].log_softmax(0)
    normal = torch.distributions.Normal(torch.tanh(output[0, 8]), decoder.spread()[0])
    expected = logits[2] + normal.log_prob(torch.tensor(0.2))
    assert decoder.log_likelihood(z, rows, nothing)[0, 1].item() == pytest.approx(expected.item(), abs=1e-5)
    assert decoder.log_likelihood(z, missing, nothing)[0, 1].item() == pytest.approx(logits[4].item(), abs=1e-5)
    total = decoder.elbo_log_likelihood(z, rows, generator())
    assert total.item() == pytest.approx(decoder.log_likelihood(z, rows, nothing).sum().item(), abs=1e-5)


def test_argmax_draws_the_likeliest_choice_and_the_mean():
    decoder = independent(MODES)
    z = torch.ones(3, 4)
    drawn, _ = decoder.sample(
        z, Rows.blank(3, MODES), torch.zeros(3, 2, dtype=torch.bool), generator(), Drawing(argmax=True)
    )
    output = decoder(z)
    assert (drawn.choices[:, 0] == output[:, :3].argmax(1)).all()
    assert torch.allclose(drawn.scalars[:, 0], torch.tanh(output[:, 8]))


def test_the_log_softmax_of_all_columns_and_its_gradient_equal_those_of_one_column_at_a_time():
    widths = (2, 50, 3, 9, 1, 120)
    layout = TableLayout((*(ColumnLayout(n) for n in widths), ColumnLayout(2, n_numbered=1)))
    hidden = torch.randn(11, 5, generator=generator(3))
    head = torch.nn.Linear(5, layout.n_choices + 1)
    choices = torch.stack([torch.randint(c.n_choices, (11,), generator=generator(2)) for c in layout.columns], 1)
    weights = torch.rand(choices.shape, generator=generator(4))
    flat, start, expected = head(hidden), 0, []
    for i, column in enumerate(layout.columns):
        part = flat[:, start : start + column.n_choices].log_softmax(1)
        expected.append(part.gather(1, choices[:, i : i + 1]))
        start += column.n_choices
    one_by_one = torch.cat(expected, 1)
    columns = ChoiceColumns([column.n_choices for column in layout.columns])
    together, _, numbers = (part.t() for part in columns.terms(head(hidden).t(), choices.t()))
    assert torch.allclose(numbers, flat[:, start:], atol=1e-6)
    assert torch.allclose(together, one_by_one, atol=1e-5)
    parameters = list(head.parameters())
    wanted = torch.autograd.grad((one_by_one * weights).sum() + flat[:, start:].sum(), parameters)
    found = torch.autograd.grad((together * weights).sum() + numbers.sum(), parameters)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(found, wanted, strict=True))
    assert sorted(i for group in group_by_width(list(widths)) for i in group) == list(range(6))


@pytest.mark.long
@given(
    st.lists(st.booleans(), min_size=2, max_size=12).filter(any),
    st.integers(1, 400),
    st.integers(0, 2**32 - 1),
)
def test_a_choice_without_probability_is_never_drawn(possible, n_rows, seed):
    logits = torch.randn(n_rows, len(possible), generator=generator(seed)) * 20
    logits = logits.masked_fill(~torch.tensor(possible), -torch.inf)
    drawn = draw_choice(logits, generator(seed))
    assert torch.tensor(possible)[drawn].all()


def test_stratified_numbers_fill_every_stratum_once_and_columns_are_apart():
    drawn = uniform(1000, 3, torch_generator(np.random.SeedSequence(1), kind=Strata))
    for column in drawn.T:
        assert sorted((column * 1000).floor().long().tolist()) == list(range(1000))
    assert np.abs(np.corrcoef(drawn.T.numpy()) - np.eye(3)).max() < 0.1


def test_the_prior_takes_the_shape_of_the_posteriors():
    points = torch.cat([torch.randn(3000, 2, generator=generator(1)) * 0.3 + 2, torch.randn(1000, 2) * 0.5 - 2])
    prior = LatentPrior(2, 4)
    likelihood = prior.fit(points, generator(2))
    assert likelihood > -1.9  # N(0, I) gives -6.0, the true mixture -1.6
    drawn = prior.draw(20_000, generator(3))
    assert torch.allclose(drawn.mean(0), points.mean(0), atol=0.05)
    assert torch.allclose(torch.cov(drawn.T), torch.cov(points.T), atol=0.15)
    assert (drawn[:, 0] > 0).float().mean().item() == pytest.approx(0.75, abs=0.01)


def test_a_prior_without_components_is_the_standard_normal():
    drawn = LatentPrior(3).draw(5000, generator(1))
    assert torch.allclose(drawn.mean(0), torch.zeros(3), atol=0.06)
    assert torch.allclose(torch.cov(drawn.T), torch.eye(3), atol=0.06)


def test_a_prior_fits_few_or_equal_points():
    for points in (torch.zeros(1, 2), torch.ones(50, 2), torch.zeros(0, 2)):
        prior = LatentPrior(2, 8)
        prior.fit(points, generator(1))
        assert torch.isfinite(prior.draw(100, generator(2))).all()


def test_drawn_choices_follow_their_probabilities():
    logits = torch.tensor([0.1, 0.2, 0.7]).log().expand(30_000, 3)
    share = torch.bincount(draw_choice(logits, generator(1)), minlength=3) / 30_000
    assert share.tolist() == pytest.approx([0.1, 0.2, 0.7], abs=0.01)


def test_logits_that_are_no_numbers_give_a_choice_that_is_there() -> None:
    drawn = draw_choice(torch.full((50, 3), torch.nan), generator(1))
    assert ((drawn >= 0) & (drawn < 3)).all()


# -- the autoencoder --------------------------------------------------------------------------------------------------


def encoded(layout: TableLayout, n: int = 64) -> EncodedTable:
    rng = np.random.default_rng(1)
    choices = np.stack([rng.integers(c.n_base, size=n) for c in layout.columns], 1).astype(np.int32)
    scalars = rng.random((n, layout.n_scalars)).astype(np.float32) * 0.9
    return EncodedTable(choices, scalars, np.full_like(scalars, 0.05), None)


@pytest.mark.parametrize(("name", "layout"), [("autoregressive", MIXED), ("independent", MODES)])
def test_the_elbo_terms_are_finite_and_a_value_a_row(name, layout):
    config = ModelConfig(name, (16,), (16, 16), 4, loss_factor=2.0)
    vae = build_vae(config, layout, generator(1))
    terms = vae(*table_tensors(encoded(layout), layout), generator=generator(2))
    assert terms.reconstruction.shape == terms.kl.shape == terms.objective.shape == (64,)
    assert torch.isfinite(terms.objective).all()
    assert torch.allclose(terms.objective, 2.0 * terms.reconstruction + terms.kl, atol=1e-4)
    assert vae.not_finite(Rows.blank(3, layout), generator()) == []


def test_free_bits_take_the_gradient_away_below_the_floor():
    config = ModelConfig("autoregressive", (16,), (16,), 4, free_bits=100.0)
    vae = build_vae(config, MIXED, generator(1))
    terms = vae(*table_tensors(encoded(MIXED), MIXED), generator=generator(2))
    assert torch.allclose(terms.objective - terms.reconstruction, torch.full((64,), 400.0), atol=1e-2)


@pytest.mark.parametrize(("name", "layout"), [("autoregressive", COPIES), ("independent", MODES)])
def test_weights_travel_through_arrays(name, layout):
    config = ModelConfig(name, (16,), (16, 8), 4)
    vae = build_vae(config, layout, generator(1), encoded(layout).choices)
    arrays = to_arrays(vae)
    assert {n: (a.shape, str(a.dtype)) for n, a in arrays.items()} == expected_arrays(config, layout)
    again = vae_from_arrays(config, layout, arrays)
    assert all(np.array_equal(a, to_arrays(again)[n]) for n, a in arrays.items())
    arrays.pop(sorted(arrays)[0])
    with pytest.raises(ValueError, match="weights do not fit"):
        vae_from_arrays(config, layout, arrays)


def test_a_sigma_out_of_range_is_refused():
    config = ModelConfig("independent", (8,), (8,), 2)
    arrays = to_arrays(build_vae(config, MODES, generator(1)))
    arrays["decoder.sigma"] = np.full_like(arrays["decoder.sigma"], 1e6)
    with pytest.raises(ValueError, match="sigma"):
        vae_from_arrays(config, MODES, arrays)


def test_building_leaves_the_global_generator_alone_and_depends_on_the_seed_alone():
    config = ModelConfig("autoregressive", (8,), (8,), 2)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = to_arrays(build_vae(config, MIXED, generator(1)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    second = to_arrays(build_vae(config, MIXED, generator(1)))
    assert all(np.array_equal(a, second[n]) for n, a in first.items())
    assert isinstance(TabularVAE, type)


def test_output_biases_start_at_the_log_frequencies():
    layout = TableLayout((ColumnLayout(2),), "rank")
    vae = build_vae(
        ModelConfig("autoregressive", (8,), (8,), 2), layout, generator(1), np.array([[0]] * 90 + [[1]] * 10)
    )
    bias = vae.decoder.heads[0].bias.detach()
    assert (bias[0] - bias[1]).exp().item() == pytest.approx(9.0, rel=0.1)


def test_a_column_of_10_000_categories_costs_no_one_hot_matrix():
    layout = TableLayout((ColumnLayout(10_000), ColumnLayout(3)), "rank")
    vae = build_vae(ModelConfig("autoregressive", (16,), (16,), 2), layout, generator(1))
    table = EncodedTable(np.full((32, 2), 2, np.int32), np.zeros((32, 0), np.float32))
    terms = vae(*table_tensors(table, layout), generator=generator(2))
    assert torch.isfinite(terms.objective).all()
    assert math.isfinite(terms.kl.sum().item())


def test_devices_are_resolved_or_refused():
    from clover_tvae.errors import ConfigError

    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for bad in ("gpu", 3.5, "cuda:99"):
        with pytest.raises(ConfigError):
            resolve_device(bad)  # type: ignore[arg-type]
    seed = np.random.SeedSequence(5)
    assert torch_generator(seed).initial_seed() == torch_generator(np.random.SeedSequence(5)).initial_seed()


def test_shares_under_the_prior_are_moved_to_those_of_the_table():
    layout = TableLayout((ColumnLayout(3, missing=2), ColumnLayout(4, n_numbered=2, missing=3)), numbers="mode")
    torch.manual_seed(0)
    decoder = Decoder(8, (16,), layout.n_choices + layout.n_scalars, layout)
    z = torch.randn(20_000, 8)
    choices = torch.tensor([[0, 0]] * 50 + [[1, 1]] * 10 + [[2, 2]] * 10 + [[2, 3]] * 30)
    decoder.match_shares(z, choices)
    drawn, _ = decoder.sample(
        z,
        Rows.blank(len(z), layout, z.device),
        torch.zeros(len(z), 2, dtype=torch.bool),
        torch.Generator().manual_seed(1),
    )
    for i, shares in enumerate(([0.5, 0.1, 0.4], [0.5, 0.1, 0.1, 0.3])):
        found = torch.bincount(drawn.choices[:, i], minlength=len(shares)) / len(z)
        assert torch.allclose(found, torch.tensor(shares), atol=0.015)


@pytest.mark.parametrize("numbered", [False, True])
def test_a_table_of_wide_columns_alone_is_learnt(numbered):
    layout = TableLayout((ColumnLayout(600), ColumnLayout(1500), *([ColumnLayout(1, n_numbered=1)] * numbered)), "rank")
    vae = build_vae(ModelConfig("autoregressive", (8,), (8,), 2), layout, generator(1))
    rows = Rows.blank(30, layout)
    terms = vae(rows.choices, rows.scalars, torch.zeros(30, 0), rows.equals, generator=generator(2))
    terms.objective.mean().backward()
    assert torch.isfinite(terms.reconstruction).all()
    known = torch.zeros(30, layout.n_columns, dtype=torch.bool)
    assert vae.decoder.sample(torch.zeros(30, 2), rows, known, generator(3))[0].choices.shape == known.shape


# -- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decoder", "layout"), [("autoregressive", MIXED), ("autoregressive", COPIES), ("independent", MODES)]
)
def test_products_in_bfloat16_give_the_likelihood_and_gradient_of_float32_up_to_rounding(decoder, layout):
    found = {}
    for precision in ("float32", "bfloat16"):
        vae = build_vae(ModelConfig(decoder, (32,), (32, 32), 4, precision=precision), layout, generator(1))
        n = 400
        choices = torch.stack([torch.randint(c.n_base, (n,), generator=generator(2)) for c in layout.columns], 1)
        rows = Rows(
            choices,
            torch.rand(n, layout.n_scalars, generator=generator(3)),
            torch.zeros(n, len(layout.copy_pairs)).bool(),
        )
        terms = vae(*rows[:2], torch.zeros(n, 0), rows.equals, generator=generator(4))
        terms.objective.mean().backward()
        gradient = torch.cat([p.grad.flatten() for p in vae.parameters() if p.grad is not None])
        assert all(p.dtype == torch.float32 for p in vae.parameters())
        found[precision] = terms.reconstruction.detach().mean(), gradient
    (loss, gradient), (rough_loss, rough) = found["float32"], found["bfloat16"]
    assert rough_loss.item() == pytest.approx(loss.item(), rel=0.01)
    assert rough_loss.item() != loss.item()
    assert torch.cosine_similarity(gradient, rough, dim=0).item() > 0.999


def test_stacked_layers_and_their_gradient_equal_those_that_torch_records():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(6, 9), torch.nn.Linear(9, 8), torch.nn.Linear(8, 3)]
    x = torch.randn(20, 6, requires_grad=True)
    for n_relu in (2, 3):
        recorded = x
        for i, layer in enumerate(layers):
            recorded = layer(recorded).relu() if i < n_relu else layer(recorded)
        written = stacked(x, pairs_of(layers), n_relu, torch.float32)
        assert torch.allclose(written, recorded, atol=1e-6)
        wanted = [x, *(parameter for layer in layers for parameter in layer.parameters())]
        weights = torch.rand(20, 3)
        gradients = [torch.autograd.grad((weights * out).sum(), wanted) for out in (written, recorded)]
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*gradients, strict=True))


def _residual_layers(width: int = 5, inner: int = 7) -> tuple[torch.nn.LayerNorm, Linear, Linear]:
    torch.manual_seed(0)
    norm = torch.nn.LayerNorm(width)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return norm, Linear(width, inner), Linear(inner, width)


@pytest.mark.parametrize("is_dropped", [False, True])
def test_the_gradient_of_a_residual_block_is_the_one_that_torch_records(is_dropped):
    norm, up, down = (layer.double() for layer in _residual_layers())
    for layer in (up, down):
        layer.products = torch.float64
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    keep = torch.rand(6, 7, dtype=torch.float64).round() * 2.0 if is_dropped else None
    inside = torch.nn.functional.silu(up(norm(x)))
    recorded = x + down(inside if keep is None else inside * keep)
    written = residual(x, norm, up, down, keep)
    assert torch.allclose(written, recorded)
    wanted = [x, *norm.parameters(), *up.parameters(), *down.parameters()]
    weights = torch.randn(6, 5, dtype=torch.float64)
    gradients = [torch.autograd.grad((weights * out).sum(), wanted) for out in (written, recorded)]
    assert all(torch.allclose(a, b) for a, b in zip(*gradients, strict=True))


def test_the_gradient_of_a_sum_of_embeddings_is_the_one_that_torch_records():
    index = torch.tensor([[0, 3, 5], [1, 3, 4], [0, 2, 4]])
    table = torch.randn(6, 4, generator=generator(1)).requires_grad_()
    weights = torch.randn(3, 4, generator=generator(2))
    found = [
        sum_of_embeddings(index, table, torch.float32),
        torch.nn.functional.embedding_bag(index, table, mode="sum"),
    ]
    (written,), (recorded,) = (torch.autograd.grad((weights * rows).sum(), table) for rows in found)
    assert type(found[0].grad_fn) is not type(found[1].grad_fn)
    assert torch.equal(*found)
    assert torch.allclose(written, recorded)


@pytest.mark.skipif(not FusedBlock.is_there(torch.device("cpu")), reason="this torch has no oneDNN")
def test_a_fused_block_is_the_block_up_to_the_rounding_of_bfloat16():
    norm, up, down = _residual_layers(32, 64)
    x = torch.randn(100, 32)
    exact = residual(x, norm, up, down).detach()
    with torch.no_grad():
        fused = FusedBlock(norm, up, down, 512)(x.to(torch.bfloat16)).float()
    assert fused == pytest.approx(exact, abs=0.05)
    assert (fused - exact).abs().mean() < 0.01


def test_a_matrix_made_orthogonal_in_bfloat16_has_no_large_singular_value():
    for spread in (1.0, 1e-3):
        u, _, v = torch.linalg.svd(torch.randn(96, 64, generator=generator(5)), full_matrices=False)
        matrix = u @ torch.diag(torch.logspace(0, math.log10(spread), 64)) @ v
        for products in (torch.float32, torch.bfloat16):
            assert torch.linalg.svdvals(orthogonal(matrix.unsqueeze(0), products)).max().item() < 1.35
