"""The tabular variational autoencoder: an encoder, a decoder, and the ELBO of every row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from clover_tvae.encoded import EncodedTable, TableLayout
from clover_tvae.model.decoder import Decoder
from clover_tvae.model.elbo import ElboTerms
from clover_tvae.model.encoder import Encoder, draw_posterior
from clover_tvae.model.judge import RowJudge
from clover_tvae.model.mixture import normal_score
from clover_tvae.model.prior import LatentPrior
from clover_tvae.model.products import set_products
from clover_tvae.model.rows import OneHotRows, Rows, TableDecoder, numbered_cells
from clover_tvae.model.schedule import Schedule

#: Rows whose posteriors the prior is fitted to, and how many of them are encoded at once.
_MOST_PRIOR_ROWS, _ROWS_A_PASS = 20_000, 4_096
#: Pairs of draws from their posteriors: two a row, one where rows are many.
_MOST_PRIOR_PAIRS = 20_000


def table_tensors(table: EncodedTable, layout: TableLayout) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``choices, scalars, spreads, equals`` as tensors, absent ones with zero columns or zeros."""
    n_rows = len(table)
    spreads = torch.zeros(n_rows, 0) if table.spreads is None else torch.from_numpy(table.spreads)
    equals = (
        torch.zeros(n_rows, len(layout.copy_pairs), dtype=torch.bool)
        if table.equals is None
        else torch.from_numpy(table.equals)
    )
    return torch.from_numpy(table.choices), torch.from_numpy(table.scalars), spreads, equals


def inside_spreads(scalars: Tensor, spreads: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw each number inside its spread; without a generator take its middle. **Shape** ``(rows, scalars)``."""
    if not spreads.shape[1]:
        return scalars
    share = 0.5 if generator is None else torch.rand(scalars.shape, generator=generator, device=scalars.device)
    return scalars + spreads * share


class TabularVAE(nn.Module):
    """An encoder and any decoder of tables, trained together on the evidence lower bound.

    Args:
        encoder: Gives ``q(z | x)`` of one-hot rows.
        decoder: Fills the seam :class:`clover_tvae.model.rows.TableDecoder`.
        loss_factor: Weight of the reconstruction (2 in the TVAE paper's implementation).
        free_bits: Nats a latent dimension that cost nothing; they keep the posterior from collapsing onto the prior.
        prior_components: Gaussians that :meth:`fit_prior` fits to the aggregate posterior; 0 keeps ``N(0, I)``.
        schedule_levels: Levels of the schedule, by which columns are drawn together; 0: each is drawn alone.
        judge_trees: Trees that judge which drawn rows are kept; 0: all are.

    References:
        Kingma & Welling 2014, arXiv 1312.6114, eq. 3; Kingma et al. 2016, arXiv 1606.04934, appendix C.8 (free bits).
    """

    starts: Tensor

    def __init__(
        self,
        encoder: Encoder,
        decoder: TableDecoder,
        loss_factor: float = 1.0,
        free_bits: float = 0.0,
        prior_components: int = 0,
        schedule_levels: int = 0,
        judge_trees: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.prior = LatentPrior(encoder.embedding_dim, prior_components)
        self.loss_factor, self.free_bits = loss_factor, free_bits
        self.layout = decoder.layout
        self.schedule = Schedule(self.layout.n_columns, schedule_levels)
        self.judge = RowJudge(self.layout, judge_trees)
        *starts, _ = accumulate((column.n_choices for column in self.layout.columns), initial=0)
        self.register_buffer("starts", torch.tensor(starts, dtype=torch.int64), persistent=False)

    @property
    def embedding_dim(self) -> int:
        return self.encoder.embedding_dim

    @property
    def device(self) -> torch.device:
        return self.starts.device

    def forward(
        self, choices: Tensor, scalars: Tensor, spreads: Tensor, equals: Tensor, *, generator: torch.Generator
    ) -> ElboTerms:
        """Return the ELBO terms of every row, on one draw of ``z``, of the numbers inside their spreads, and of the order."""
        rows = Rows(choices.long(), inside_spreads(scalars, spreads, generator), equals)
        mu, logvar = self.encoder.parameters_of(self.encoder_input(rows))
        z, kl_dims = draw_posterior(mu, logvar, torch.randn(mu.shape, generator=generator, device=mu.device))
        reconstruction = -self.decoder.elbo_log_likelihood(z, rows, generator)
        kl = kl_dims.sum(1)
        # Free bits act on each dimension's mean over the batch: below the floor its gradient is zero.
        floored = kl_dims.mean(0).clamp_min(self.free_bits).sum() if self.free_bits else kl
        return ElboTerms(reconstruction, kl, self.loss_factor * reconstruction + floored)

    def multiply_in(self, precision: str) -> None:
        """Make matrix products in ``"float32"`` or ``"bfloat16"`` from now on; the weights stay as they are."""
        self.products = torch.bfloat16 if precision == "bfloat16" else torch.float32
        set_products(self, self.products)

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The matrices inside the decoder's trunk, which may be trained by Muon."""
        find = getattr(self.decoder, "hidden_matrices", None)
        return [] if find is None else find()

    def encoder_input(self, rows: Rows) -> OneHotRows:
        """The one-hot view of rows; numbers out of use are 0, ranks enter as normal scores."""
        numbers = normal_score(rows.scalars) if self.layout.numbers == "rank" else rows.scalars
        return OneHotRows(
            rows.choices + self.starts, numbers.masked_fill(~numbered_cells(self.layout, rows.choices), 0.0)
        )

    def posterior(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of ``q(z | x)``. **Shape** each ``(rows, embedding_dim)``."""
        mu, std, _ = self.encoder(self.encoder_input(rows))
        return mu, std

    @torch.no_grad()
    def fit_prior(self, tensors: Sequence[Tensor], generator: torch.Generator, rows: Tensor | None = None) -> None:
        """Fit the prior to draws from the posteriors of (at most 20,000) rows, given as :func:`table_tensors` does.

        A prior that stays ``N(0, I)`` leaves the shares of the choices wrong: the paper's decoder is then moved instead.

        Args:
            tensors: The table.
            generator: Draws the rows, and from their posteriors.
            rows: Indices of the rows that count; ``None``: all do.
        """
        rows = torch.arange(len(tensors[0])) if rows is None else rows
        if not self.prior.n_components:
            if isinstance(self.decoder, Decoder):
                z = self.prior.draw(_MOST_PRIOR_ROWS, generator)
                self.decoder.match_shares(z, tensors[0][rows].to(self.device))
            return
        draws = list[Tensor]()
        picked = torch.randperm(len(rows), generator=generator, device=generator.device)[:_MOST_PRIOR_ROWS].cpu()
        for part in rows[picked].split(_ROWS_A_PASS):
            choices, scalars, spreads, equals = (t[part].to(self.device) for t in tensors)
            mu, std = self.posterior(Rows(choices.long(), inside_spreads(scalars, spreads, generator), equals))
            # Antithetic pairs: the noise of the draws must not become the prior's mean.
            for _ in range(1 if 2 * len(picked) > _MOST_PRIOR_PAIRS else 2):
                noise = std * torch.randn(mu.shape, generator=generator, device=self.device)
                draws += [mu + noise, mu - noise]
        self.prior.fit(torch.cat(draws), generator)

    def not_finite(self, rows: Rows, generator: torch.Generator) -> list[int]:
        """Columns whose log-likelihood is not a finite number in some row: where a diverged training went wrong."""
        with torch.no_grad():
            z = torch.zeros(len(rows.choices), self.embedding_dim, device=self.device)
            known = torch.zeros(rows.choices.shape, dtype=torch.bool, device=self.device)
            cells = self.decoder.log_likelihood(z, rows, known)
        return (~torch.isfinite(cells)).any(0).nonzero().squeeze(1).tolist()
