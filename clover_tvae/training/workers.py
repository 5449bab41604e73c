"""The workers that train one network together: the processes of an initialised ``torch.distributed`` group, or this one alone.

Every worker holds the same weights and takes the same rows; each computes the gradients of its own parts of a batch, and all
of them get the sum. What a clock decides is decided by the first. This module knows no networks and no tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from clover_tvae.errors import ConfigError, WorkerLostError


class Workers:
    """This process among the workers. Every method must be called by all of them, in the same order.

    Example:
        >>> workers = Workers()
        >>> workers.is_first, workers.mine(range(3)), workers.agreed(0.5)
        (True, [0, 1, 2], [0.5])
    """

    def __init__(self) -> None:
        is_group = dist.is_available() and dist.is_initialized()
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if is_group else (0, 1)
        self.is_first = self.rank == 0  # it decides, shows progress and writes files
        # NCCL sends what lies on a GPU alone.
        self._device = torch.device("cuda" if is_group and dist.get_backend() == "nccl" else "cpu")

    def mine(self, parts: Sequence[Any]) -> list[Any]:
        """Return those of the parts of a batch that this worker computes; perhaps none."""
        return list(parts[self.rank :: self.size])

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor the sum of those of all workers: the same bits for each of them."""
        self._exchange(tensors, dist.all_reduce)

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor what it holds on the first worker."""
        self._exchange(tensors, lambda flat: dist.broadcast(flat, src=0))

    def agreed(self, *values: float) -> list[float]:
        """Return the numbers of the first worker."""
        held = torch.tensor(values, dtype=torch.float64)
        self.share([held])
        return held.tolist()

    def check_same(self, facts: Mapping[str, str]) -> None:
        """Refuse to learn together what is not the same for all.

        Raises:
            ConfigError: A fact of a worker differs from that of the first; each worker raises it.
        """
        mine = json.dumps(dict(facts)).encode()
        length = int(self.agreed(len(mine))[0])
        held = torch.frombuffer(bytearray(mine[:length].ljust(length)), dtype=torch.uint8)
        self.share([held])
        first = json.loads(held.numpy().tobytes())
        differ = [name for name in dict.fromkeys([*first, *facts]) if first.get(name) != facts.get(name)]
        n_others = torch.tensor([float(bool(differ))])
        self.add([n_others])
        if n_others:
            here = f"worker {self.rank} differs from worker 0 in {', '.join(differ)}"
            told = here if differ else f"{int(n_others)} of {self.size} workers differ from worker 0"
            cure = "give all the same table, parameters and random_state, and a checkpoint that all see"
            apart = "where each is to learn a table of its own, fit before the process group is initialised"
            raise ConfigError(f"{told}; {cure}; {apart}", "workers")

    @torch.no_grad()
    def _exchange(self, tensors: Sequence[Tensor], operation: Callable[[Tensor], Any]) -> None:
        """Apply an operation to the tensors laid end to end: one message for all."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).to(self._device)
        try:
            operation(flat)
        except RuntimeError as error:
            text = "another worker has ended, or cannot be reached: what it said last tells why"
            raise WorkerLostError(text) from error
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))
