"""A checkpoint: where an interrupted fit stands, so that another process goes on to the same weights, bit for bit.

All but the trainings of a fit follows from the table and the seed, and is done again. A checkpoint therefore holds, for each
training by name, its state, and what the fit was made from. It is as sensitive as the table: it holds a teacher's weights.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from clover_tvae.errors import ConfigError, Problem
from clover_tvae.files import atomic_write

#: Seconds between two writings: what a killed process loses at most, beside the step that it was at.
SECONDS_BETWEEN = 20.0
_FORMAT = "clover-tvae-checkpoint-1"
_TENSOR, _PLAIN = "\x00tensor", "content"
#: What content raises that has lost something, or holds something else in its place.
_NOT_WHOLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError)
#: Beside what differs.
_CURE = "give what it was made from, or remove it to begin anew"


class Checkpoint:
    """The checkpoint file of one fit, mode 0600.

    Args:
        path: The file.
        resume: Whether to go on from a file that is there.
        writes: Whether this process writes the file, and removes it; of several workers one does.

    Raises:
        ConfigError: The file is there and ``resume`` is false, or it is no checkpoint.
    """

    def __init__(self, path: Path, *, resume: bool, writes: bool = True) -> None:
        self.path = path = Path(os.path.realpath(path))  # of a link the file is written, and removed
        self.writes, self.digest = writes, ""  # of what was read
        self._content: dict[str, Any] = {"format": _FORMAT, "made_from": {}, "seed": None, "stages": {}}
        if not path.exists():
            return
        try:
            written = path.read_bytes()
            digest, body = written[: hashlib.sha256().digest_size], written[hashlib.sha256().digest_size :]
            if digest != hashlib.sha256(body).digest():
                raise ValueError
            tensors = load(body)
            content = _whole(json.loads(tensors[_PLAIN].numpy().tobytes()), tensors)
            if content["format"] != _FORMAT or content.keys() != self._content.keys():
                raise ValueError
            self._content, self.digest = content, digest.hex()
            _ = self.seed, self.seconds, self._content["made_from"].items()
        except (OSError, SafetensorError, *_NOT_WHOLE):
            raise self.broken from None
        if not resume:
            text = "is there from a fit that was interrupted: resume=True (--resume) goes on from it; remove it to begin anew"
            raise ConfigError(f"{path.name!r} {text}", "checkpoint")

    @property
    def broken(self) -> ConfigError:
        """What to raise where the content is not what was written."""
        text = f"{self.path.name!r} is no checkpoint of this version, or a broken one; remove it to begin anew"
        return ConfigError(text, "checkpoint")

    @property
    def seed(self) -> int | None:
        """The seed of the fit, ``None`` in a new file."""
        seed = self._content["seed"]
        return None if seed is None else int(seed)

    @property
    def is_begun(self) -> bool:
        """Whether it holds something of a training."""
        return bool(self._content["stages"])

    @property
    def seconds(self) -> float:
        """What the trainings took that have ended."""
        return sum(state["seconds"] for state in self._content["stages"].values() if state["is_over"])

    def begin(self, seed: Any, made_from: Mapping[str, str]) -> None:
        """Note what the fit is made from, or compare it with what is noted.

        Raises:
            ConfigError: Something differs; all that does is named.
        """
        before: dict[str, str] = self._content["made_from"]
        if not before:
            self._content |= {"made_from": dict(made_from), "seed": str(seed)}
            self.write()
        differ = [name for name in dict.fromkeys([*before, *made_from]) if before.get(name) != made_from.get(name)]
        if before and differ:
            texts = [f"{self.path.name!r} differs in {name}; {_CURE}" for name in differ]
            raise ConfigError([Problem("checkpoint", text) for text in texts])

    def stage(self, name: str) -> Stage:
        """Return the training of this name."""
        return Stage(self, name)

    def write(self) -> None:
        """Write the file, whole or not at all."""
        if not self.writes:
            return
        tensors: dict[str, Tensor] = {}
        plain = json.dumps(_plain(self._content, tensors)).encode()
        body = save(tensors | {_PLAIN: torch.frombuffer(bytearray(plain), dtype=torch.uint8)})
        atomic_write(self.path, lambda file: file.writelines([hashlib.sha256(body).digest(), body]))

    def remove(self) -> None:
        """Take the file away: the fit has come to its end."""
        if self.writes:
            self.path.unlink(missing_ok=True)


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value as JSON has it, its tensors put apart under the names that stand in their place."""
    if isinstance(value, Tensor):
        name = f"tensor {len(tensors)}"
        tensors[name] = value.detach().cpu().contiguous()
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        return {key: _plain(one, tensors) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, tensors) for one in value]
    return value


def _whole(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(plain, dict):
        whole = {key: _whole(one, tensors) for key, one in plain.items()}
        return tensors[plain[_TENSOR]] if plain.keys() == {_TENSOR} else whole
    return [_whole(one, tensors) for one in plain] if isinstance(plain, list) else plain


@dataclass
class Stage:
    """One training of a fit in its checkpoint.

    Args:
        checkpoint: Where it stands.
        name: Its name there.
    """

    checkpoint: Checkpoint
    name: str
    _written: float = -math.inf

    @property
    def state(self) -> dict[str, Any] | None:
        """The state that was saved last, ``None`` where there is none."""
        state: dict[str, Any] | None = self.checkpoint._content["stages"].get(self.name)
        return state

    def give(self, restore: Callable[[dict[str, Any]], object]) -> None:
        """Restore the state that was saved last, if there is one.

        Raises:
            ConfigError: It is not what was saved.
        """
        try:
            if self.state is not None:
                restore(self.state)
        except _NOT_WHOLE:
            raise self.checkpoint.broken from None

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._written >= SECONDS_BETWEEN

    def save(self, state: dict[str, Any]) -> None:
        """Write the state, plain values and tensors, into the file."""
        # A copy: the tensors change as the training goes on.
        self.checkpoint._content["stages"][self.name] = copy.deepcopy(state)
        self.checkpoint.write()
        self._written = time.monotonic()
