"""The networks: an encoder, two decoders behind one seam, and the variational autoencoder that joins them."""

from clover_tvae.model.autoregressive import AutoregressiveDecoder
from clover_tvae.model.decoder import Decoder
from clover_tvae.model.elbo import ElboTerms
from clover_tvae.model.encoder import Encoder
from clover_tvae.model.vae import TabularVAE

__all__ = ["AutoregressiveDecoder", "Decoder", "ElboTerms", "Encoder", "TabularVAE"]
