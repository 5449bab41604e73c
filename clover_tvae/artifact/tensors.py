"""Arrays as one safetensors blob, which must hold exactly what the model that reads it expects.

This module knows arrays, their names, shapes and dtypes. It knows no network.

References:
    Hugging Face, "safetensors: format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import DTypeLike, NDArray

from clover_tvae.artifact.plain import only_our_errors
from clover_tvae.errors import CorruptArtifactError


def pack_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as one safetensors blob.

    Args:
        tensors: Name -> array of any shape; of float16 to float64 (finite), an integer, or bool.

    Returns:
        The blob: equal arrays give equal bytes, whatever their order and memory layout.

    Raises:
        ValueError: An array holds NaN or an infinity.

    Example:
        >>> import numpy as np
        >>> blob = pack_tensors({"bias": np.zeros(3, np.float32)})
        >>> unpack_tensors(blob, {"bias": ((3,), "float32")})["bias"]
        array([0., 0., 0.], dtype=float32)
    """
    # safetensors copies memory as it lies, whatever the strides: C order is a must.
    arrays = {name: np.array(tensors[name], order="C", ndmin=0) for name in sorted(tensors)}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"tensor {name!r} holds values that are not finite; it must not be saved")
    return safetensors.numpy.save(arrays)


def unpack_tensors(data: bytes, expected: Mapping[str, tuple[Sequence[int], DTypeLike]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a blob, which must be exactly the expected ones.

    Args:
        data: What :func:`pack_tensors` gave.
        expected: Name -> (shape, dtype), as the configuration of the model implies them.

    Returns:
        The arrays by name, in the order of ``expected``; writable.

    Raises:
        CorruptArtifactError: The blob is damaged; a tensor is missing, unknown, or has another shape or dtype; or
            holds NaN or an infinity. All such problems are in the message.
    """
    with only_our_errors("the file"):
        found = safetensors.numpy.load(data)
        json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")], object_pairs_hook=_named_once)
        problems = [f"tensor {tensor!r} is missing" for tensor in expected if tensor not in found]
        problems += [f"tensor {ascii(tensor)[:80]} is not part of this model" for tensor in found.keys() - expected]
        for tensor, (shape, dtype) in expected.items():
            array = found.get(tensor)
            if array is None:
                continue
            if array.shape != tuple(shape) or array.dtype != np.dtype(dtype):
                problems.append(
                    f"tensor {tensor!r}: must be {np.dtype(dtype)} {tuple(shape)}, found {array.dtype} {array.shape}"
                )
            elif array.dtype.kind == "f" and not np.isfinite(array).all():
                problems.append(f"tensor {tensor!r} holds values that are not finite")
        if problems:
            more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
            raise CorruptArtifactError(f"the file: the weights do not fit the model: {'; '.join(problems[:10])}{more}")
        return {tensor: np.require(found[tensor], requirements="W") for tensor in expected}


def _named_once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse a header that gives one name twice, of which safetensors takes the last."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise CorruptArtifactError("the file: the weights name a tensor twice")
