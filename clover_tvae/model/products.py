"""Matrix products of a network's layers, in bfloat16 where the processor has instructions for it.

Weights, sums over a row's parts, losses and optimisers stay float32; what enters a product is rounded to 8 significant bits
(Kalamkar et al. 2019, A Study of BFLOAT16 for Deep Learning Training, arXiv 1905.12322).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Linear", "fastest_precision", "linear", "set_products"]


def fastest_precision(device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return bfloat16 where the device has instructions that multiply it: it is then about twice as fast, and half as fast elsewhere.

    Example:
        >>> fastest_precision(torch.device("cpu")) in ("float32", "bfloat16")
        True
    """
    if device.type == "cpu":
        # Of the oldest torch that we take, one of these is not there yet.
        tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        fast = any(getattr(torch.cpu, test, bool)() for test in tests)
    else:
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if fast else "float32"


class Linear(nn.Linear):
    """``torch.nn.Linear`` of float32 weights whose product is made in, and returned as, the type ``products``."""

    products = torch.float32

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(self.products)
        return F.linear(x.to(self.products), self.weight.to(self.products), bias)


def set_products(module: nn.Module, products: torch.dtype) -> None:
    """Let every :class:`Linear` inside ``module`` multiply in ``products``."""
    for layer in module.modules():
        if isinstance(layer, Linear):
            layer.products = products


def linear(x: Tensor, weight: Tensor, bias: Tensor, products: torch.dtype) -> Tensor:
    """``x weight' + bias``, the sum in float32: logits need their bias exact.

    **Shape** ``(rows, inputs)``, ``(outputs, inputs)``, and ``(outputs,)`` or, where ``x`` are weights and ``weight`` rows,
    ``(rows, 1)``; result ``(rows, outputs)``.
    """
    if products == torch.float32:
        return torch.addmm(bias, x, weight.t())
    return F.linear(x.to(products), weight.to(products)).float().add_(bias)
