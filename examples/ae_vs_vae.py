# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Autoencoder or variational autoencoder?
#
# Both squeeze a picture through a few numbers and draw it again. The plain **autoencoder** (AE) is a compressor: each picture
# goes to one *point* `z`. The **variational** one (VAE) sends it to a small *cloud*, and the KL loss presses all clouds
# together into one bell curve around 0.
#
# What the AE is good for: fewer dimensions, cleaning noisy pictures, spotting strange ones. What it is *not* good for:
# making new ones. This example shows why, with the same network, the same digits and the same trainer.
#
# Run it from the project's folder: `python examples/ae_vs_vae.py` (about a minute).

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from clover_tvae.model import Decoder, Encoder
from clover_tvae.training import ElboTerms, Trainer, TrainingConfig

parser = argparse.ArgumentParser(description="An autoencoder and a VAE on the same digits.", allow_abbrev=False)
parser.add_argument("--anomaly", type=int, default=6, choices=range(10), help="the digit that is kept from training")
parser.add_argument("--output", default="examples/output", help="folder of the pictures")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--short", action="store_true", help="a few seconds, for the tests")
options, _ = parser.parse_known_args()
output = Path(options.output)
output.mkdir(parents=True, exist_ok=True)
plt.rcParams["font.size"] = 13

digits = load_digits()
labels = digits.target
pictures = torch.tensor(digits.data / 16, dtype=torch.float32)  # 1,797 pictures, 64 pixels in [0, 1]

# %% [markdown]
# ## Two networks that differ in two lines
# Encoder and decoder are the package's own. The VAE draws `z` from its cloud, and pays for how far the cloud is from
# the bell curve (KL). The AE does neither.


# %%
class Autoencoder(nn.Module):
    """A picture to a point of the latent space, and back."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.encoder = Encoder(64, (128, 64), embedding_dim)
        self.decoder = Decoder(embedding_dim, (64, 128), 64)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> ElboTerms:
        """Return the reconstruction loss of each picture."""
        mu, _, _ = self.encoder(x)
        return ElboTerms(self.error(mu, x), torch.zeros(len(x)))

    def error(self, z: Tensor, x: Tensor) -> Tensor:
        """Binary cross-entropy, summed over the pixels, between what ``z`` decodes to and ``x``. **Shape** ``(rows,)``."""
        return F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(dim=1)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Return where the pictures lie. **Shape** ``(rows, embedding_dim)``."""
        return self.encoder(x)[0]

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Return pictures in [0, 1]. **Shape** ``(rows, 64)``."""
        return torch.sigmoid(self.decoder(z))


class VAE(Autoencoder):
    """A picture to a cloud in the latent space, and back."""

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> ElboTerms:
        """Return reconstruction loss and KL of each picture."""
        mu, std, logvar = self.encoder(x)
        z = mu + std * torch.randn(mu.shape, generator=generator)
        return ElboTerms(self.error(z, x), 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1))


class DenoisingAutoencoder(Autoencoder):
    """Sees a noisy picture, has to draw the clean one."""

    noise = 0.3  # standard deviation; a pixel is between 0 and 1

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> ElboTerms:
        """Return the reconstruction loss of each picture."""
        noisy = x + self.noise * torch.randn(x.shape, generator=generator)
        return ElboTerms(self.error(self.encoder(noisy)[0], x), torch.zeros(len(x)))


def train(kind: type[Autoencoder], embedding_dim: int, rows: Tensor) -> Autoencoder:
    """Train one network; the same start, epochs and trainer for all of them."""
    torch.manual_seed(options.seed)
    network = kind(embedding_dim)
    config = TrainingConfig(
        epochs=20 if options.short else 100,
        batch_rows=50,
        learning_rate=0.002,
        schedule="trapezoid",
        validation_fraction=0.0,
    )
    training = Trainer(config, verbose=False).fit(network, (rows,), seed=options.seed)
    last = training.history[-1]
    print(f"{kind.__name__}, {embedding_dim} numbers: reconstruction {last.reconstruction:.1f} + KL {last.kl:.1f}")
    return network


ae, vae = train(Autoencoder, 2, pictures), train(VAE, 2, pictures)

# %% [markdown]
# ## Dimension reduction: 64 pixels on a plane
# Neither network was ever told which digit it sees, yet both sort them. The AE scatters them wherever there is room,
# with holes in between. The VAE packs them around 0 without holes (the circles hold 39% and 86% of the bell curve).

# %%
colours = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#B8A800", "#0072B2", "#D55E00", "#CC79A7", "#777777", "#6A3D9A"]
fig, axes = plt.subplots(1, 2, figsize=(11, 5.4), layout="constrained")
for axis, network, title in zip(axes, (ae, vae), ("autoencoder", "variational autoencoder"), strict=True):
    z = network.encode(pictures)
    for digit, colour in enumerate(colours):  # a digit's own shape as its mark: colour is not needed to tell them apart
        axis.scatter(*z[labels == digit][::2].T, s=70, marker=f"${digit}$", color=colour, linewidths=0.3)
    axis.set(title=title, xlabel="first number of z", ylabel="second number of z")
    axis.grid(alpha=0.3)
for radius in (1, 2):
    axes[1].add_patch(plt.Circle((0, 0), radius, fill=False, color="0.3", ls="--", lw=1.5))
axes[1].set_aspect("equal", adjustable="datalim")
fig.savefig(output / "ae_vs_vae_latent.png", dpi=80)

# %% [markdown]
# ## Sampling: why the AE cannot
# To make a new digit we need a `z` that nobody encoded. For the VAE the KL loss promised where to look: the bell curve. For
# the AE nothing was promised, so there are two ways to guess:
#
# * *naive*: draw from the same bell curve anyway;
# * *kind*: measure mean and spread of the points that the AE really uses, and draw from the bell curve that fits those.
#
# A judge (300 trees that have read half of the real digits) tells how sure it is of each sample: **sure** means that at
# least 60% of the trees agree. The **distance** to the most similar real digit shows how far off a drawing is.
#
# On a plane (2 numbers) there is hardly room for holes, and the AE gets away with it. But two numbers are too few to draw well.
# Give both networks 16, and the AE's points are islands in an empty space: what lies between them was never trained, and
# decodes to noise, even under the kind guess. The VAE's samples stay as close to real digits as real digits are to one
# another. They are soft, though: where `z` says too little, the decoder draws the average. (A decoder that draws one cell
# after another, each given the ones before, mends that: `digits_table.py`.)

# %%
ae_wide, vae_wide = train(Autoencoder, 16, pictures), train(VAE, 16, pictures)


def fitted_curve(network: Autoencoder) -> torch.distributions.MultivariateNormal:
    """Return the bell curve with the mean and the covariance of the encoded pictures."""
    z = network.encode(pictures)
    return torch.distributions.MultivariateNormal(z.mean(dim=0), covariance_matrix=z.T.cov())


generator = torch.Generator().manual_seed(options.seed)
judge = ExtraTreesClassifier(60 if options.short else 300, random_state=options.seed).fit(pictures[::2], labels[::2])
samples: dict[str, Tensor] = {"real digits": pictures[1::2]}
for dims, plain, variational in ((2, ae, vae), (16, ae_wide, vae_wide)):
    noise = torch.randn(500, dims, generator=generator)
    curve = fitted_curve(plain)
    samples[f"AE {dims}, naive"] = plain.decode(noise)
    samples[f"AE {dims}, kind"] = plain.decode(curve.loc + noise @ curve.scale_tril.T)
    samples[f"VAE {dims}"] = variational.decode(noise)

sure: dict[str, float] = {}
distance: dict[str, float] = {}
for name, rows in samples.items():
    sure[name] = float(np.mean(judge.predict_proba(rows.numpy()).max(axis=1) >= 0.6))
    distance[name] = float(torch.cdist(rows, pictures[::2]).min(dim=1).values.mean())
    print(f"{name:14s} sure of {sure[name]:4.0%}, distance to the nearest real digit {distance[name]:.2f}")


def show_row(row: np.ndarray, rows: Tensor, name: str) -> None:
    """Draw one picture on each axis."""
    for axis, picture in zip(row, rows, strict=False):
        axis.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axis.set_xticks([])
        axis.set_yticks([])
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")


fig, axes = plt.subplots(len(samples), 10, figsize=(11, 6.6), layout="constrained")
for row, (name, rows) in zip(axes, samples.items(), strict=True):
    show_row(row, rows, f"{name}\nsure of {sure[name]:.0%}\ndistance {distance[name]:.2f}")
fig.savefig(output / "ae_vs_vae_samples.png", dpi=80)

# %% [markdown]
# ## 100 digits from a grid
# Ten by ten points of the VAE's plane, each at the middle of a hundredth of the bell curve: together they show what it can draw.

# %%
quantiles = torch.special.ndtri((torch.arange(10) + 0.5) / 10)
grid = torch.cartesian_prod(quantiles.flip(0), quantiles).flip(1)
tiles = F.pad(vae.decode(grid).reshape(10, 10, 8, 8), (1, 1, 1, 1))  # a white frame around each digit
canvas = tiles.permute(0, 2, 1, 3).reshape(100, 100)
fig, axis = plt.subplots(figsize=(5.6, 5.8), layout="constrained")
axis.imshow(canvas, cmap="gray_r", vmin=0, vmax=1)
places, names = np.arange(10) * 10 + 4.5, [f"{q:.1f}" for q in quantiles]
axis.set_xticks(places[::3], names[::3])
axis.set_yticks(places[::3], names[::-1][::3])
axis.set(xlabel="first number of z", ylabel="second number of z", title="100 digits from the VAE's plane")
fig.savefig(output / "ae_vs_vae_grid.png", dpi=90)

# %% [markdown]
# ## What an autoencoder is good for (1): cleaning
# Trained on noisy pictures whose clean version it must draw, it learns to ignore what is not digit-like. 16 numbers instead
# of 2, because details matter here. The pictures below were not in its training.

# %%
kept_back = torch.arange(len(pictures)) % 5 == 0
cleaner = train(DenoisingAutoencoder, 16, pictures[~kept_back])
clean = pictures[kept_back]
noisy = (clean + DenoisingAutoencoder.noise * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
cleaned = cleaner.decode(cleaner.encode(noisy))
error_before, error_after = (float((rows - clean).square().mean().sqrt()) for rows in (noisy, cleaned))
print(f"error a pixel (root mean square): noisy {error_before:.3f}, cleaned {error_after:.3f}")
fig, axes = plt.subplots(3, 12, figsize=(11, 3), layout="constrained")
for row, rows, name in zip(axes, (clean, noisy, cleaned), ("real", "noisy", "cleaned"), strict=True):
    show_row(row, rows, name)
fig.savefig(output / "ae_vs_vae_denoising.png", dpi=90)

# %% [markdown]
# ## What an autoencoder is good for (2): spotting strange rows
# Train without one digit. What the network has never seen it cannot draw, so that its **reconstruction error** is large:
# a detector of anomalies that needs no example of an anomaly. The error here is the squared difference of the pixels: the
# cross-entropy is large for every grey pixel, however well it is drawn. The **AUC** is the chance that a strange
# picture has a larger error than a normal one (0.5: a coin, 1: never wrong). `--anomaly` chooses the digit; the ten of
# them gave AUCs between 0.90 and 1.00.

# %%
strange = torch.tensor(labels == options.anomaly)
detector = train(Autoencoder, 4, pictures[~strange & ~kept_back])
tested = strange | kept_back  # normal pictures that were not in its training, and all strange ones
errors = (detector.decode(detector.encode(pictures)) - pictures)[tested].square().sum(dim=1).numpy()
auc = float(roc_auc_score(strange[tested], errors))
print(f'"{options.anomaly}" as the anomaly: AUC {auc:.3f}')
fig, axis = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
bins = np.linspace(errors.min(), np.quantile(errors, 0.995), 40)
axis.hist(errors[~strange[tested]], bins, density=True, color="#0072B2", alpha=0.8, label="digits it knows (held out)")
axis.hist(
    errors[strange[tested]], bins, density=True, histtype="step", lw=2.5, color="#D55E00",
    label=f'"{options.anomaly}", never seen',
)  # fmt: skip
axis.set(xlabel="reconstruction error", ylabel="density", title=f"anomaly detection, AUC {auc:.2f}")
axis.legend()
fig.savefig(output / "ae_vs_vae_anomaly.png", dpi=90)

# %% [markdown]
# ## What to take along
#
# | | autoencoder | variational autoencoder |
# | --- | --- | --- |
# | a row becomes | a point | a cloud |
# | loss | reconstruction | reconstruction + KL |
# | between the training rows | anything | more of the same kind |
# | new rows | no | **yes**: draw z from the bell curve |
#
# On tables, the package keeps the encoder, so that a trained `TVAESynthesizer` does all of this: `encode(df)` for a map of the
# rows, `reconstruct(df)` for what it makes of them, `anomaly_scores(df)` for the strange ones, and `sample(n)` for new ones.
