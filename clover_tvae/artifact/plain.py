"""Plain data as a pickle that cannot run code.

A file is a protocol-5 pickle of ``str``, ``int``, ``float``, ``bool``, ``bytes``, ``list``, ``dict`` and ``None``. Any
Python opens it with ``pickle.loads``; here no ``Unpickler`` is ever asked. :func:`decode` knows the 21 opcodes that plain
data needs: none of them imports, calls, or refers back to an earlier object, so a few bytes can never stand for a huge
table. It reads in one pass, in a time that grows with the bytes alone, and takes of each value only the one form that
:func:`encode` writes: one content has one file.

This module knows pickles, and nothing of what is in them. ``docs/generator_file.md`` tells the format byte by byte.
"""

from __future__ import annotations

import pickletools
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from clover_tvae.artifact.foreign import HEAD_BYTES, RUNS_CODE, pickle_facts, unsafe
from clover_tvae.errors import ArtifactError, CloverError, CorruptArtifactError
from clover_tvae.files import MOST_OF_ONE_HASH

# One byte can stand for an empty dict of 64 bytes: the bound keeps a hostile file under some 64 MB of objects.
_MAX_VALUES = 900_000
_MAX_DEPTH = 64
_MAX_INT_BYTES = 255


def encode(content: dict[str, Any]) -> bytearray:
    """Return plain data as pickle opcodes: equal values in equal order give equal bytes.

    ``pickle.Pickler`` would do, were it not that its bytes depend on which objects are shared and on the Python that
    runs it; files must compare equal across both.

    Raises:
        TypeError: A value is not plain; the message holds its path.
        ValueError: An int of more than 255 bytes, more than 64 levels, or more than 900,000 values.

    Example:
        >>> import pickle
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


_CODE_BYTES = {ord(opcode.code) for opcode in pickletools.opcodes if opcode.name in RUNS_CODE}
# Opcode -> bytes of the length of its argument, and the least length for which no shorter opcode would do.
_TEXTS = {0x8C: (1, 0), ord("X"): (4, 2**8), 0x8D: (8, 2**32)}
_SIZED = {**_TEXTS, ord("C"): (1, 0), ord("B"): (4, 2**8), 0x8E: (8, 2**32), 0x8A: (1, 1)}
# Opcode -> bytes of its argument.
_FIXED = {ord("K"): 1, ord("M"): 2, ord("J"): 4, ord("G"): 8}
_CONSTANTS = {ord("N"): None, 0x88: True, 0x89: False}
_LONG, _FLOAT, _INT, _STOP = 0x8A, ord("G"), ord("J"), ord(".")
_NO_KEY: Any = object()


def decode(data: bytes, name: str) -> dict[str, Any]:
    """Return the content of a whole file, which errors call ``name``.

    Raises:
        UnsafeArtifactError: The pickle would run code.
        CorruptArtifactError: Anything else that :func:`encode` would not have written.
    """
    with only_our_errors(name):
        return _decoded(data, name)


def _decoded(data: bytes, name: str) -> dict[str, Any]:
    position, n_values, end = 2, 0, len(data)
    hashes: Counter[int] = Counter()
    whole: list[Any] = []
    # What is being filled, the key that waits for its value, and what is filled afterwards.
    into: Any = whole
    outer: list[Any] = []
    key: Any = _NO_KEY
    value: Any
    is_short = True
    while position < end:
        opcode = data[position]
        position += 1
        if opcode in _SIZED:
            n_length, least = _SIZED[opcode]
            start = position + n_length
            n_bytes = int.from_bytes(data[position:start], "little")
            position = start + n_bytes
            if position > end:
                break
            value, is_short = data[start:position], n_bytes >= least
            if opcode in _TEXTS:
                value = value.decode("utf-8", "surrogatepass")
            elif opcode == _LONG:
                value = int.from_bytes(value, "little", signed=True)
                is_short = not -(2**31) <= value < 2**31 and n_bytes == value.bit_length() // 8 + 1
                hashes[hash(value)] += 1
                if hashes[hash(value)] > MOST_OF_ONE_HASH:
                    raise CorruptArtifactError(f"{name} is refused: its large numbers are made to be slow to look up")
        elif opcode in _FIXED:
            raw = data[position : position + _FIXED[opcode]]
            position += len(raw)
            if len(raw) < _FIXED[opcode]:
                break
            if opcode == _FLOAT:
                value = struct.unpack(">d", raw)[0]
                is_short = value == value or struct.pack(">d", value) == raw
            else:
                value = int.from_bytes(raw, "little", signed=opcode == _INT)
                is_short = len(raw) == 1 or (value > 255 if len(raw) == 2 else not 0 <= value < 2**16)
        elif opcode in _CONSTANTS:
            value = _CONSTANTS[opcode]
        elif opcode in b"]}":
            value = [] if opcode == 0x5D else {}
        elif opcode in b"eu" and outer and into and key is _NO_KEY and type(into) is (list if opcode == 0x65 else dict):
            into = outer.pop()
            continue
        elif opcode == _STOP and not outer and len(whole) == 1 and type(whole[0]) is dict:
            if position == end:
                return whole[0]
            raise CorruptArtifactError(f"{name} is damaged: {end - position:,} bytes follow after its end")
        else:
            rest = pickle_facts(data[position - 1 : position + HEAD_BYTES])
            if opcode in _CODE_BYTES or (rest.runs_code and rest.end is not None):
                raise unsafe(pickle_facts(data[:HEAD_BYTES]).globals, name)
            raise CorruptArtifactError(f"{name} is damaged: byte {position - 1} is nothing that a generator holds")
        n_values += 1
        if n_values > _MAX_VALUES:
            raise CorruptArtifactError(f"{name} is refused: it holds more than {_MAX_VALUES:,} values")
        if not is_short:
            raise CorruptArtifactError(f"{name} is damaged: its content is not in the one form that it may have")
        if type(into) is list:
            into.append(value)
        elif key is not _NO_KEY:
            into[key], key = value, _NO_KEY
        elif type(value) is str and value not in into:
            key = value
            continue
        else:
            raise CorruptArtifactError(f"{name} is damaged: a key of its dicts is no text, or is given twice")
        if opcode in b"]}" and data[position : position + 1] == b"(":
            position += 1
            outer.append(into)
            into = value
            if len(outer) > _MAX_DEPTH:
                raise CorruptArtifactError(f"{name} is refused: nested deeper than {_MAX_DEPTH}")
    raise CorruptArtifactError(f"{name} is truncated: it ends after {end:,} bytes, in the middle of its content")
