"""Matrix products of a network's layers, in bfloat16 where the processor has instructions for it.

Weights, sums over a row's parts, losses and optimisers stay float32; what enters a product is rounded to 8 significant bits
(Kalamkar et al. 2019, A Study of BFLOAT16 for Deep Learning Training, arXiv 1905.12322).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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


def pairs_of(layers: Iterable[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """Return weight and bias of each linear layer, for :func:`stacked`."""
    return [(layer.weight, layer.bias) for layer in layers if isinstance(layer, nn.Linear)]


def stacked(x: Tensor, layers: Sequence[tuple[Tensor, Tensor]], n_relu: int, products: torch.dtype) -> Tensor:
    """Send ``x`` through linear layers, the first ``n_relu`` of which end in a ReLU.

    Their gradient is written down, not recorded: for narrow layers, recording takes as long as half of the products.

    Args:
        x: Input of the first layer.
        layers: Weight and bias of each.
        n_relu: How many are followed by a ReLU.
        products: The type in which products are made, and in which the result is.

    **Shape** ``(rows, inputs)`` in, ``(rows, outputs)`` out.
    """
    parameters = [parameter for layer in layers for parameter in layer]
    found: Tensor = _Stacked.apply(x, n_relu, products, *parameters)  # type: ignore[no-untyped-call]
    return found


class _Stacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, n_relu: int, products: torch.dtype, *parameters: Tensor) -> Tensor:
        weights = [weight.to(products) for weight in parameters[::2]]
        steps = [x.to(products)]
        for i, (weight, bias) in enumerate(zip(weights, parameters[1::2], strict=True)):
            step = F.linear(steps[-1], weight, bias.to(products))
            steps.append(step.relu_() if i < n_relu else step)
        ctx.n_relu, ctx.of_input = n_relu, x.dtype
        ctx.save_for_backward(*weights, *steps)
        return steps[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        n_layers = len(ctx.saved_tensors) // 2
        weights, steps = ctx.saved_tensors[:n_layers], ctx.saved_tensors[n_layers:]
        (gradient,) = gradients
        found: list[Tensor | None] = []
        for i in reversed(range(n_layers)):
            if i < ctx.n_relu:
                gradient = torch.ops.aten.threshold_backward(gradient, steps[i + 1], 0)
            found = [(gradient.t() @ steps[i]).float(), gradient.sum(0, dtype=torch.float32), *found]
            if i or ctx.needs_input_grad[0]:
                gradient = gradient @ weights[i]
        return gradient.to(ctx.of_input) if ctx.needs_input_grad[0] else None, None, None, *found
