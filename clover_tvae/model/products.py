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


def residual(x: Tensor, norm: nn.LayerNorm, up: Linear, down: Linear, keep: Tensor | None = None) -> Tensor:
    """``x + W2 (keep * silu(W1 norm(x)))``, its gradient written down.

    Args:
        x: Input.
        norm: Of the input.
        up: ``W1`` and its bias.
        down: ``W2`` and its bias.
        keep: Factors on what is inside, such as those of a dropout; ``None``: there are none.

    **Shape** ``(rows, width)`` in and out; ``keep`` ``(rows, inner width)``.
    """
    parameters = (norm.weight, norm.bias, up.weight, up.bias, down.weight, down.bias)
    found: Tensor = _Residual.apply(x, keep, norm.eps, up.products, *parameters)  # type: ignore[no-untyped-call]
    return found


class _Residual(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, keep: Tensor | None, eps: float, products: torch.dtype, *parameters: Tensor
    ) -> Tensor:
        scale, shift = parameters[:2]
        up, of_up, down, of_down = (parameter.to(products) for parameter in parameters[2:])
        normed, mean, spread = torch.native_layer_norm(x, x.shape[1:], scale, shift, eps)
        normed = normed.to(products)
        before = F.linear(normed, up, of_up)
        inside = F.silu(before) if keep is None else F.silu(before).mul_(keep)
        ctx.save_for_backward(x, keep, mean, spread, scale, shift, normed, up, down, before, inside)
        return F.linear(inside, down, of_down).to(x.dtype).add_(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, keep, mean, spread, *of_norm, normed, up, down, before, inside = ctx.saved_tensors
        (of_sum,) = gradients
        gradient = of_sum.to(down.dtype)
        of_down = [(gradient.t() @ inside).to(x.dtype), gradient.sum(0, dtype=x.dtype)]
        gradient = gradient @ down
        gradient = torch.ops.aten.silu_backward(gradient if keep is None else gradient.mul_(keep), before)
        of_up = [(gradient.t() @ normed).to(x.dtype), gradient.sum(0, dtype=x.dtype)]
        of_x, *of_norm = torch.ops.aten.native_layer_norm_backward(
            (gradient @ up).to(x.dtype), x, x.shape[1:], mean, spread, *of_norm, [True, True, True]
        )
        return of_x.add_(of_sum), None, None, None, *of_norm, *of_up, *of_down


#: The gradients of at most so many embeddings for each cell of a row are one product with ones and zeros: torch's own sorts all cells first.
_MOST_EMBEDDINGS = 30


def sum_of_embeddings(index: Tensor, table: Tensor, products: torch.dtype) -> Tensor:
    """Sum the embeddings of a row's cells; their gradient is a product where these are float32 and it is faster.

    In bfloat16 that product may cost validation loss: benchmarks/README.md, "Speed".

    **Shape** ``(rows, cells)``, no two cells of a row the same, and ``(embeddings, width)``; result ``(rows, width)``.
    """
    if products != torch.float32 or len(table) > _MOST_EMBEDDINGS * index.shape[1]:
        return F.embedding_bag(index, table, mode="sum")
    found: Tensor = _SumOfEmbeddings.apply(index, table)  # type: ignore[no-untyped-call]
    return found


class _SumOfEmbeddings(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.n_embeddings = len(table)
        return F.embedding_bag(index, table, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (index,) = ctx.saved_tensors
        ones = torch.zeros(len(index), ctx.n_embeddings, device=index.device).scatter_(1, index, 1.0)
        return None, ones.t() @ gradients[0]


class FusedBlock:
    """``x + W2 silu(W1 norm(x))`` in bfloat16, to be passed many times: each product is one operation with what follows it.

    The weights are packed once, as oneDNN multiplies them fastest; no gradient. The sum stays in bfloat16, too.

    Args:
        norm: Of the input; its weights stay float32.
        up: ``W1`` and its bias.
        down: ``W2`` and its bias.
        n_rows: About how many rows a pass has.

    **Shape** ``(rows, width)`` in and out, bfloat16.
    """

    def __init__(self, norm: nn.LayerNorm, up: nn.Linear, down: nn.Linear, n_rows: int) -> None:
        self.of_norm = (norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        self.up, self.down = ((_packed(layer, n_rows), layer.bias.to(torch.bfloat16)) for layer in (up, down))

    @staticmethod
    def is_there(device: torch.device) -> bool:
        """Whether this torch has the operations, which are oneDNN's, on this device."""
        return (
            device.type == "cpu"
            and torch.backends.mkldnn.is_available()
            and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        )

    def __call__(self, x: Tensor) -> Tensor:
        product = torch.ops.mkldnn._linear_pointwise
        hidden = product(torch.layer_norm(x, *self.of_norm), *self.up, "swish", [1.0], "")
        found: Tensor = product.binary(hidden, x, *self.down, "add")
        return found


def _packed(layer: nn.Linear, n_rows: int) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(layer.weight.to(torch.bfloat16), n_rows)
    return packed


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
