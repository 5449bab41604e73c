"""Plain data as a pickle that cannot run code.

A file is a protocol-5 pickle of ``str``, ``int``, ``float``, ``bool``, ``bytes``, ``list``, ``dict`` and ``None``. Three
gates stand one behind the other when it is read:

1. every opcode is checked against the 21 that plain data needs, before anything is built; none of them imports, calls,
   or refers back to an earlier object, so a few bytes can never stand for a huge table;
2. the ``Unpickler`` refuses every import (``find_class``) and every persistent id;
3. what was read is written again, and must give the same bytes: one content has one file.

This module knows pickles, and nothing of what is in them.

References:
    Python documentation, "pickle: Restricting Globals".
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from clover_tvae.artifact.foreign import HEAD_BYTES, RUNS_CODE, pickle_facts, unsafe
from clover_tvae.errors import ArtifactError, CloverError, CorruptArtifactError

__all__ = ["decode", "encode", "only_our_errors", "scan"]

# One byte can stand for an empty dict of 64 bytes: the bound keeps a hostile file under some 150 MB of objects.
_MAX_VALUES = 2_000_000
_MAX_DEPTH = 64
_MAX_INT_BYTES = 255


def encode(content: dict[str, Any]) -> bytearray:
    """Return plain data as pickle opcodes: equal values in equal order give equal bytes.

    ``pickle.Pickler`` would do, were it not that its bytes depend on which objects are shared and on the Python that
    runs it; files must compare equal across both.

    Raises:
        TypeError: A value is not plain; the message holds its path.
        ValueError: An int of more than 255 bytes, more than 64 levels, or more than two million values.

    Example:
        >>> pickle.loads(encode({"sizes": [1, 2.5], "name": None}))  # noqa: S301
        {'sizes': [1, 2.5], 'name': None}
    """
    writer = _Writer()
    try:
        writer.write(content)
    except _NotPlain as error:
        place = "content" + "".join(f"[{step!r}]" for step in reversed(error.steps[-20:]))
        raise error.kind(f"{place}: {error.message}") from None
    writer.out += b"."
    return writer.out


class _NotPlain(Exception):
    """A value that no file may hold; ``steps`` leads to it, innermost first."""

    def __init__(self, message: str, kind: type[Exception] = ValueError) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.steps: list[str | int] = []


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray(b"\x80\x05")
        self._n_values = 0
        self._depth = 0

    def write(self, value: Any) -> None:
        self._n_values += 1
        if self._n_values > _MAX_VALUES:
            raise _NotPlain(f"more than {_MAX_VALUES:,} values; pack long lists of numbers into bytes")
        # Exact types: numpy.float64 is a float, numpy.str_ a str, and neither is plain.
        kind = type(value)
        if kind is str:
            self._sized(value.encode("utf-8", "surrogatepass"), b"\x8c", b"X", b"\x8d")
        elif kind is int:
            self._int(value)
        elif kind is float:
            self.out += struct.pack(">cd", b"G", value)
        elif kind is bool:
            self.out += b"\x88" if value else b"\x89"
        elif value is None:
            self.out += b"N"
        elif kind is bytes:
            self._sized(value, b"C", b"B", b"\x8e")
        elif kind is list:
            self._container(b"]", value, enumerate(value), b"e")
        elif kind is dict:
            self._container(b"}", value, value.items(), b"u")
        else:
            raise _NotPlain(
                "a file holds only str, int, float, bool, bytes, list, dict and None, "
                f"found {kind.__module__}.{kind.__qualname__}",
                TypeError,
            )

    def _sized(self, raw: bytes, short: bytes, middle: bytes, long: bytes) -> None:
        if len(raw) < 2**8:
            self.out += struct.pack("<cB", short, len(raw))
        elif len(raw) < 2**32:
            self.out += struct.pack("<cI", middle, len(raw))
        else:
            self.out += struct.pack("<cQ", long, len(raw))
        self.out += raw

    def _int(self, value: int) -> None:
        if 0 <= value < 2**8:
            self.out += struct.pack("<cB", b"K", value)
        elif 0 <= value < 2**16:
            self.out += struct.pack("<cH", b"M", value)
        elif -(2**31) <= value < 2**31:
            self.out += struct.pack("<ci", b"J", value)
        else:
            n_bytes = value.bit_length() // 8 + 1
            if n_bytes > _MAX_INT_BYTES:
                raise _NotPlain(f"an int of {n_bytes} bytes, at most {_MAX_INT_BYTES} are allowed")
            self.out += struct.pack("<cB", b"\x8a", n_bytes) + value.to_bytes(n_bytes, "little", signed=True)

    def _container(self, empty: bytes, value: Any, items: Iterable[tuple[Any, Any]], end: bytes) -> None:
        self.out += empty
        if not value:
            return
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _NotPlain(f"nested deeper than {_MAX_DEPTH}")
        self.out += b"("
        for key, item in items:
            if type(value) is dict:
                if type(key) is not str:
                    raise _NotPlain(f"the keys of a dict must be str, found {type(key).__name__}", TypeError)
                self.write(key)
            try:
                self.write(item)
            except _NotPlain as error:
                error.steps.append(key)
                raise
        self.out += end
        self._depth -= 1


def decode(data: bytes, name: str) -> dict[str, Any]:
    """Return the content of a file, through all three gates.

    Args:
        data: The whole file.
        name: How errors call the file.

    Raises:
        UnsafeArtifactError: The pickle would run code.
        CorruptArtifactError: Anything else that :func:`encode` would not have written.
    """
    with only_our_errors(name):
        scan(data, name)
        content = _PlainUnpickler(data, name).load()
        # Keys given twice, longer forms of a number, values in the wrong place: all come out differently.
        if encode(content) != data:
            raise CorruptArtifactError(f"{name} is damaged: its content is not in the one form that it may have")
        return content


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that has nothing to import from. The scan leaves it nothing to refuse: it is the second gate."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(io.BytesIO(data))
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        raise unsafe([f"{module}.{name}"], self._name)

    def persistent_load(self, pid: Any) -> Any:
        raise unsafe([], self._name)


@contextmanager
def only_our_errors(name: str) -> Iterator[None]:
    """Turn whatever goes wrong while the file ``name`` is read into one of our errors."""
    try:
        yield
    except CloverError:
        raise
    except MemoryError:
        raise CorruptArtifactError(f"{name} is refused: reading it needs more memory than there is") from None
    except OSError as error:
        raise ArtifactError(f"{name} cannot be read: {error.strerror or type(error).__name__}") from error
    except Exception as error:
        # The class alone: the text of a foreign error may quote the content.
        raise CorruptArtifactError(f"{name} is damaged: reading it failed ({type(error).__name__})") from None


# Opcode -> bytes of its argument; and opcode -> bytes of the length of its argument.
_FIXED = {ord(code): n_bytes for code, n_bytes in {"N": 0, "\x88": 0, "\x89": 0, "}": 0, "]": 0}.items()}
_FIXED |= {ord("K"): 1, ord("M"): 2, ord("J"): 4, ord("G"): 8}
_SIZED = {0x8C: 1, ord("X"): 4, 0x8D: 8, ord("C"): 1, ord("B"): 4, 0x8E: 8, 0x8A: 1}
_CODE_BYTES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes if opcode.name in RUNS_CODE}


def scan(data: bytes, name: str) -> None:
    """Walk over the opcodes without building anything, and refuse all but those of plain data: the first gate."""
    position, depth, n_values, end = 2, 0, 0, len(data)
    while position < end:
        opcode = data[position]
        position += 1
        if opcode in _FIXED:
            position += _FIXED[opcode]
        elif opcode in _SIZED:
            start = position + _SIZED[opcode]
            position = start + int.from_bytes(data[position:start], "little")
        elif opcode == ord("("):
            depth += 1
            if depth > _MAX_DEPTH:
                raise CorruptArtifactError(f"{name} is refused: nested deeper than {_MAX_DEPTH}")
            continue
        elif opcode in b"ue":
            depth -= 1
            continue
        elif opcode == ord("."):
            break
        elif opcode in _CODE_BYTES:
            raise unsafe(pickle_facts(data[:HEAD_BYTES]).globals, name)
        else:
            raise CorruptArtifactError(f"{name} is damaged: byte {position - 1} is nothing that a generator holds")
        n_values += 1
        if n_values > _MAX_VALUES:
            raise CorruptArtifactError(f"{name} is refused: it holds more than {_MAX_VALUES:,} values")
    else:
        raise CorruptArtifactError(f"{name} is truncated: it ends after {end:,} bytes, in the middle of its content")
    if position != end:
        raise CorruptArtifactError(f"{name} is damaged: {end - position:,} bytes follow after its end")
