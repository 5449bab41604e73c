# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Handwritten "1"s out of nothing: the smallest useful VAE
#
# A **variational autoencoder** (VAE) is two small networks that are trained together.
#
# * The **encoder** looks at one picture and answers with a *region* of a small space: a mean `mu` and a width `std` for
#   each of 4 numbers. We draw one point `z` in that region.
# * The **decoder** sees only the 4 numbers `z`, and must draw the picture again.
#
# Two forces pull at it. The **reconstruction** loss says: the drawing must resemble the picture. The **KL** loss says:
# all the regions together must look like a plain bell curve around 0. Without the second force the decoder could not
# be used alone. With it, we know where to look: draw 4 numbers from the bell curve, decode them, and there is a "1" that
# nobody wrote.
#
# ```
#   picture 64 -> 32 -> mu 4, std 4 -> z 4 -> 32 -> 64 picture
#                 encoder          draw     decoder
# ```
#
# Run it from the project's folder: `python examples/digits.py` (half a minute), or, with UCI's full training file,
# `python examples/digits.py --data optdigits.tra`.

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from clover_tvae.model import Decoder, Encoder
from clover_tvae.training import ElboTerms, Epoch, Trainer, TrainingConfig

parser = argparse.ArgumentParser(description="Train a VAE on handwritten 1s and draw new ones.", allow_abbrev=False)
parser.add_argument("--data", help="UCI's optdigits file: 64 pixels 0-16 and the digit in each line")
parser.add_argument("--digit", type=int, default=1, choices=range(10), help="the digit to learn")
parser.add_argument("--save", help="where to save the picture of the first network's digits")
parser.add_argument("--output", default="examples/output", help="folder of the pictures")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--short", action="store_true", help="a few seconds, for the tests")
options, _ = parser.parse_known_args()
output = Path(options.output)
output.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## The pictures
# 8 x 8 pixels, each a count from 0 (paper) to 16 (ink). Divided by 16, a pixel is a number between 0 and 1. scikit-learn
# ships the *test* part of the data (182 "1"s); the training part at UCI has 389.


# %%
def read_digits(path: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures, shape (rows, 64), values 0-16, and which digit each shows."""
    if path is None:
        digits = load_digits()
        return digits.data, digits.target
    with open(path) as lines:
        header = 0 if lines.readline()[:1].isdigit() else 1
    rows = np.loadtxt(path, delimiter=",", skiprows=header)
    return rows[:, :64], rows[:, 64].astype(int)


pixels, labels = read_digits(options.data)
ones = torch.tensor(pixels[labels == options.digit] / 16, dtype=torch.float32)
print(f"{len(ones)} pictures of a {options.digit}, {ones.shape[1]} pixels each")

# %% [markdown]
# ## The network: the package's own encoder and decoder, and a likelihood
# `Encoder` and `Decoder` are the ones that learn patients and employees. Only the likelihood is new: a pixel is a coin
# that shows ink with probability `sigmoid(output)` (a **Bernoulli likelihood**), so that the reconstruction loss is the
# binary cross-entropy, summed over the 64 pixels.
#
# `beta` says how much the second force counts. 1 is the true VAE (Kingma & Welling 2014); a larger beta makes the space
# tidier and the drawings more alike (Higgins et al. 2017).


# %%
class DigitVAE(nn.Module):
    """64-32-[4, 4]-4-32-64: a VAE for pictures of 8 x 8 pixels in [0, 1]."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = Encoder(64, (32,), 4)
        self.decoder = Decoder(4, (32,), 64)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> ElboTerms:
        """Return the two losses of each picture. **Shape** ``(rows, 64)`` to ``(rows,)``."""
        mu, std, logvar = self.encoder(x)
        noise = torch.randn(mu.shape, generator=generator, device=mu.device)
        logits = self.decoder(mu + std * noise)  # the reparametrisation trick: a random draw that gradients pass
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1)
        return ElboTerms(reconstruction, kl, reconstruction + self.beta * kl)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw z from the bell curve and decode it. **Shape** ``(n, 64)``, values 0-16."""
        z = torch.randn(n, 4, generator=generator)
        return (torch.sigmoid(self.decoder(z)) * 16).round()


# %% [markdown]
# ## Training: Adam with rate 0.001, 10 pictures a step, 10 epochs
# An epoch shows every picture once. Every second epoch we print the two losses (means over pictures, in nats).


# %%
def train(beta: float, epochs: int, log: bool = False) -> tuple[DigitVAE, float]:
    """Train a new network; return it and its last loss."""
    torch.manual_seed(options.seed)  # the start weights; the trainer takes a seed of its own

    def every_second(epoch: Epoch) -> None:
        if log and epoch.epoch % 2 == 0:
            print(f"epoch {epoch.epoch:3d}: reconstruction {epoch.reconstruction:6.2f} + KL {epoch.kl:5.2f}")

    vae = DigitVAE(beta)
    config = TrainingConfig(epochs=epochs, batch_rows=10, learning_rate=0.001, validation_fraction=0.0)
    training = Trainer(config, verbose=False, on_epoch=every_second).fit(vae, (ones,), seed=options.seed)
    return vae, training.history[-1].loss


vae, loss = train(beta=1.0, epochs=10, log=True)
n_parameters = {
    part: sum(p.numel() for name, p in getattr(vae, part).named_parameters() if name != "sigma")
    for part in ("encoder", "decoder")
}
print("parameters (the decoder's unused sigma left out):", n_parameters)

# %% [markdown]
# ## One new digit, as numbers
# Decode one draw, times 16, rounded: the 64 values of a picture that was never scanned.

# %%
generator = torch.Generator().manual_seed(options.seed)
one = vae.sample(1, generator)[0].int().reshape(8, 8).numpy()
print("\n".join(" ".join(f"{value:2d}" for value in row) for row in one))


# %%
def show(axis: plt.Axes, picture: np.ndarray) -> None:
    """Draw 8 x 8 pixels in reversed grey: 0 is white paper, 16 black ink."""
    axis.imshow(np.asarray(picture).reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
    axis.set_xticks([])
    axis.set_yticks([])


fig, axis = plt.subplots(figsize=(3, 3.3), layout="constrained")
show(axis, one)
axis.set_title(f'a "{options.digit}" nobody wrote')
saved = Path(options.save) if options.save else output / "digits_one.png"
fig.savefig(saved, dpi=100)
print("saved", saved)

# %% [markdown]
# ## More epochs, other betas
# Ten epochs on so few pictures are only a start: the network has found the average "1" and little else. More epochs
# sharpen it. Then turn `beta`:
#
# * small: every picture gets a region of its own. Reconstructions are sharp, but between the regions nothing was ever
#   learnt, and draws from the bell curve land there;
# * large: all regions become the bell curve itself and `z` says nothing any more. Every sample is the same average "1".
#
# Two figures say the same. A **judge** (a logistic regression that reads real digits) says which share of the samples is a
# "1". **Variety** compares how much the samples differ from one another with how much the real ones do (1.0 = as much).

# %%
long = 8 if options.short else 150
settings = [("10 epochs, beta 1", vae, loss, 1.0)]
for beta in (1.0, 0.01, 10.0):
    settings.append((f"{long} epochs, beta {beta:g}", *train(beta, long), beta))

judge = LogisticRegression(max_iter=2000).fit(pixels / 16, labels)
real_spread = ones.std(dim=0).mean()
figures: dict[str, tuple[float, float]] = {}
fig, axes = plt.subplots(len(settings) + 1, 10, figsize=(10, 4.8), layout="constrained")
for column, picture in enumerate(ones[:10] * 16):
    show(axes[0, column], picture)
axes[0, 0].set_ylabel("real", rotation=0, ha="right", va="center", fontsize=13)
for row, (name, network, last, _) in zip(axes[1:], settings, strict=True):
    samples = network.sample(500, torch.Generator().manual_seed(options.seed))
    read_as = judge.predict(samples.numpy() / 16)
    figures[name] = (float(np.mean(read_as == options.digit)), float((samples / 16).std(dim=0).mean() / real_spread))
    print(
        f"{name}: loss {last:6.2f}, judged a {options.digit}: {figures[name][0]:4.0%}, variety {figures[name][1]:.2f}"
    )
    for axis, picture in zip(row, samples[:10], strict=True):
        show(axis, picture)
    share, variety = figures[name]
    row[0].set_ylabel(
        f'{name}\njudged a "{options.digit}": {share:.0%}\nvariety {variety:.2f}',
        rotation=0,
        ha="right",
        va="center",
        fontsize=13,
    )
fig.savefig(output / "digits.png", dpi=100)
print("saved", output / "digits.png")

# %% [markdown]
# ## What to take along
# A VAE is an encoder, a decoder and two losses. A *table* is learnt the same way: only the likelihood changes, from "ink or
# paper" to "which category, which number". That is `digits_table.py`, and then patients and employees.
