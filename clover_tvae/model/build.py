"""From a plain configuration to networks, and from networks to named arrays and back.

Nothing in a configuration names a class or a module: a name means a decoder here alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from clover_tvae.encoded import TableLayout
from clover_tvae.model.autoregressive import AutoregressiveDecoder
from clover_tvae.model.decoder import SIGMA_RANGE, Decoder
from clover_tvae.model.encoder import Encoder, initialise
from clover_tvae.model.vae import TabularVAE

#: What the numbers of the encoded table are, for each decoder.
NUMBERS: dict[str, Literal["mode", "rank"]] = {"autoregressive": "rank", "independent": "mode"}


@dataclass(frozen=True)
class ModelConfig:
    """The shape of an autoencoder: with a layout, all that is needed to build it.

    Args:
        decoder: ``"autoregressive"`` or ``"independent"``.
        compress_dims: Widths of the encoder's hidden layers.
        decompress_dims: Widths of the decoder's hidden layers or blocks.
        embedding_dim: Dimensions of the latent space.
        loss_factor: Weight of the reconstruction in the loss.
        free_bits: Nats a latent dimension without cost.
        dropout: Share of units left out in training (autoregressive decoder).
        prior_components: Gaussians of the prior that is fitted after training; 0 for ``N(0, I)``.
        precision: Of matrix products: ``"float32"``, or ``"bfloat16"``.
        schedule_levels: Levels of the schedule by which columns are drawn together; 0, as in older files: each alone.
        judge_trees: Trees that judge which drawn rows are kept; 0, as in older files: all are.
    """

    decoder: Literal["autoregressive", "independent"]
    compress_dims: tuple[int, ...]
    decompress_dims: tuple[int, ...]
    embedding_dim: int
    loss_factor: float = 1.0
    free_bits: float = 0.0
    dropout: float = 0.0
    prior_components: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    schedule_levels: int = 0
    judge_trees: int = 0


def _assemble(config: ModelConfig, layout: TableLayout) -> TabularVAE:
    width, dims = layout.n_choices + layout.n_scalars, config.decompress_dims
    decoder: Decoder | AutoregressiveDecoder
    # Torch's constructors draw from the global generator; what they draw is overwritten, and the generator put back.
    with torch.random.fork_rng(devices=[]):
        encoder = Encoder(width, config.compress_dims, config.embedding_dim)
        if config.decoder == "independent":
            decoder = Decoder(config.embedding_dim, dims, width, layout)
        else:
            decoder = AutoregressiveDecoder(config.embedding_dim, dims, layout, config.dropout)
        vae = TabularVAE(
            encoder,
            decoder,
            config.loss_factor,
            config.free_bits,
            config.prior_components,
            config.schedule_levels,
            config.judge_trees,
        )
        vae.multiply_in(config.precision)
        return vae


def build_vae(
    config: ModelConfig, layout: TableLayout, generator: torch.Generator, choices: NDArray[Any] | None = None
) -> TabularVAE:
    """Build an untrained autoencoder whose weights come from ``generator`` alone.

    Args:
        config: Its shape.
        layout: The columns of the table.
        generator: Source of the initial weights.
        choices: Encoded training cells ``(rows, columns)``, to start the output biases at the log-frequencies.
    """
    vae = _assemble(config, layout)
    initialise(vae, generator)
    if isinstance(vae.decoder, AutoregressiveDecoder):
        counts = None
        if choices is not None:
            counts = [
                torch.from_numpy(np.bincount(choices[:, i], minlength=column.n_choices)[: column.n_choices]).float()
                for i, column in enumerate(layout.columns)
            ]
        vae.decoder.initialise(generator, counts)
    return vae


def to_arrays(vae: TabularVAE) -> dict[str, NDArray[Any]]:
    """Return all weights by name, as float32 arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in vae.state_dict().items()}


def expected_arrays(config: ModelConfig, layout: TableLayout) -> dict[str, tuple[tuple[int, ...], str]]:
    """Names, shapes and dtypes of the weights that a configuration implies, without allocating any."""
    with torch.device("meta"):
        vae = _assemble(config, layout)
    return {name: (tuple(tensor.shape), "float32") for name, tensor in vae.state_dict().items()}


def vae_from_arrays(config: ModelConfig, layout: TableLayout, arrays: Mapping[str, NDArray[Any]]) -> TabularVAE:
    """Build an autoencoder with given weights.

    Raises:
        ValueError: Names, shapes or values are not what the configuration implies.
    """
    vae = _assemble(config, layout)
    weights = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    sigma = weights.get("decoder.sigma")
    if sigma is not None and bool(((sigma < 0) | (sigma > 10 * SIGMA_RANGE[1])).any()):
        raise ValueError("a learned sigma is out of its range")
    try:
        vae.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError("the weights do not fit the configuration") from error
    return vae.eval()
