"""Pickles that no reader of generator files may fall for.

A *fragment* is a run of opcodes that leaves one value on the stack. ``bare`` makes a pickle of it; ``disguised`` puts it
into a generator file whose header and digest are right, so that it meets the gates behind those.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import sys
from pathlib import Path

from clover_tvae.artifact import dump_artifact

PLACE = "the fragment goes here"


def text(value: str) -> bytes:
    raw = value.encode()
    return b"\x8c" + struct.pack("<B", len(raw)) + raw if len(raw) < 256 else long_text(value)


def long_text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def bare(fragment: bytes) -> bytes:
    return b"\x80\x05" + fragment + b"."


def signed(body: bytes) -> bytes:
    """Put the right digest into a file whose last entry is a digest."""
    start = body[:-66]
    key = b"\x8c\x06sha256\x8c\x40"
    assert start.endswith(key)
    return start + hashlib.sha256(start[: -len(key)] + b"u.").hexdigest().encode() + b"u."


def disguised(fragment: bytes) -> bytes:
    parts = {"writer": {}, "metadata": {}, "transforms": {}, "weights": b"", "training": {}, "privacy": None}
    whole = dump_artifact({**parts, "model": {"value": PLACE}})
    assert whole.count(text(PLACE)) == 1
    return signed(whole.replace(text(PLACE), fragment))


class _Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.parts


def whole_pickles(marker: Path) -> dict[str, bytes]:
    """Pickles as the pickle module itself writes them, in every protocol: each makes ``marker`` when it is opened."""
    command = f"touch '{marker}'"
    found = {f"os.system-protocol-{p}": pickle.dumps(_Calls(os.system, command), p) for p in range(6)}
    nested = {"model": [{"layers": [_Calls(os.system, command)]}]}
    found["os.system-nested"] = pickle.dumps(nested, 5)
    found["after-a-megabyte"] = pickle.dumps(["x" * 2**20, _Calls(os.system, command)], 5)
    found["inst-protocol-0"] = f"(S'{command}'\nios\nsystem\n.".encode()
    found["no-stop"] = f"cos\nsystem\n(S'{command}'\ntR".encode()
    found["no-stop-binary"] = bare(call(named("os", "system"), text(command)))[:-1]
    found["python-2-name"] = b"\x80\x02c__builtin__\neval\n(" + long_text(f"open({str(marker)!r}, 'w')") + b"tR."
    return found


def code_fragments(marker: Path) -> dict[str, bytes]:
    """Fragments that make ``marker`` when ``pickle.loads`` meets them, through each opcode that can."""
    path, command = text(str(marker)), text(f"touch '{marker}'")
    system = named("os", "system")
    inner = bare(call(system, command))
    line = f"open({str(marker)!r}, 'w').close()"
    return {
        "reduce-stack-global": call(system, command),
        "reduce-global": call(b"cos\nsystem\n", command),
        "reduce-posix": call(named("posix", "system"), command),
        "eval": call(named("builtins", "eval"), text(line)),
        "exec": call(named("builtins", "exec"), text(line)),
        "open": call(named("builtins", "open"), path, text("w")),
        "import-getattr": call(
            call(named("builtins", "getattr"), call(named("builtins", "__import__"), text("os")), text("system")),
            command,
        ),
        "attribute-of-a-class": call(named("pathlib", "Path.touch"), call(named("pathlib", "Path"), path)),
        "subprocess": call(named("subprocess", "check_call"), b"](" + text("touch") + path + b"e"),
        "partial": call(call(named("functools", "partial"), system, command)),
        "methodcaller": call(
            call(named("operator", "methodcaller"), text("touch")), call(named("pathlib", "Path"), path)
        ),
        "map-list": call(named("builtins", "list"), call(named("builtins", "map"), system, b"](" + command + b"e")),
        "inst": b"(" + command + b"ios\nsystem\n",
        "obj": b"(" + system + command + b"o",
        "newobj": call(system, command) + b"0" + named("builtins", "object") + b")\x81",
        "build": named("types", "SimpleNamespace") + b")R" + b"}(" + text("x") + call(system, command) + b"ub",
        "in-a-memo": call(system, command) + b"\x940N",
        "popped": call(system, command) + b"0N",
        "popped-with-mark": b"(" + call(system, command) + b"1N",
        "as-a-key": b"}(" + call(system, command) + b"Nu",
        "next-to-data": b"](" + b"K\x01" + call(system, command) + b"e",
        "nested-50-deep": b"](" * 50 + call(system, command) + b"e" * 50,
        "pickle-in-pickle": call(named("pickle", "loads"), b"B" + struct.pack("<I", len(inner)) + inner),
    }


def handover_fragments() -> dict[str, bytes]:
    """Fragments that import, or hand over to code outside; some need a reader that has registered something."""
    return {
        "imports-a-module": named("this", "s"),
        "imports-numpy-dtype": call(named("numpy", "dtype"), text("f8")),
        "ext1": b"\x82\x01",
        "ext2": b"\x83\x01\x00",
        "ext4": b"\x84\x01\x00\x00\x00",
        "persid": b"Pos.system\n",
        "binpersid": text("os.system") + b"Q",
        "next-buffer": b"\x97",
        "readonly-buffer": b"\x97\x98",
        "newobj-ex": named("builtins", "dict") + b")}\x92",
        "str-subclass": call(named("collections", "UserString"), text("x")),
        "ordered-dict": named("collections", "OrderedDict") + b")R",
        "global-with-odd-name": b"cos\n\x1b[31mred\n",
    }


def bomb_fragments() -> dict[str, bytes]:
    """Fragments of a few bytes that would take all memory, or all time."""
    laughs = b"](K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01e\x94"
    for depth in range(40):
        laughs += b"](" + (b"h" + bytes([depth])) * 8 + b"e\x94"
    doubled = b"](K\x01e"
    for _ in range(60):
        doubled += b"2\x86"
    return {
        "billion-laughs": laughs,
        "dup-bomb": doubled,
        "bytes8-of-4-exabytes": b"\x8e" + struct.pack("<Q", 2**62) + b"x",
        "bytes8-of-2-to-64": b"\x8e" + b"\xff" * 8,
        "bytes-of-4-gigabytes": b"B\xff\xff\xff\xff",
        "text8-of-4-exabytes": b"\x8d" + struct.pack("<Q", 2**62) + b"x",
        "text-of-4-gigabytes": b"X\xff\xff\xff\xff",
        "bytearray8-of-1-terabyte": b"\x96" + struct.pack("<Q", 2**40),
        "frame-of-1-terabyte": b"\x95" + struct.pack("<Q", 2**40) + b"N",
        "memo-of-2-gigabytes": b"Nr\xff\xff\xff\x7f",
        "memo-of-8-gigabytes-text": b"Np1073741823\n",
        "long4-of-2-gigabytes": b"\x8b\xff\xff\xff\x7f",
        "long4-negative": b"\x8b\xff\xff\xff\xff",
        "long4-of-a-megabyte": b"\x8b" + struct.pack("<i", 2**20) + b"\x7f" * 2**20,
        "long-text-of-a-million-digits": b"L" + b"9" * 10**6 + b"L\n",
        "int-text-of-a-million-digits": b"I" + b"9" * 10**6 + b"\n",
        "float-text": b"F1e400\n",
        "deep-lists": b"](" * 100_000 + b"N" + b"e" * 100_000,
        "deep-dicts": (b"}(" + text("k")) * 100_000 + b"N" + b"u" * 100_000,
        "deep-tuples": b"N" + b"\x85" * 100_000,
        "marks": b"(" * 200_000 + b"N",
        "itself": b"]\x94(h\x00e",
        "slow-names": text("a") + long_text("b" * 100_000) + b"\x93" * 150_000,
    }


def wrong_fragments() -> dict[str, bytes]:
    """Fragments that run no code and cost nothing, but that a generator never holds."""
    return {
        "tuple": b"K\x01\x85",
        "empty-tuple": b")",
        "set": b"\x8f",
        "frozenset": b"(K\x01\x91",
        "bytearray": b"\x96" + struct.pack("<Q", 1) + b"x",
        "memo": b"N\x94",
        "key-twice": b"}(" + (text("k") + b"N") * 2 + b"u",
        "int-key": b"}(K\x01Nu",
        "none-key": b"}(NNu",
        "list-as-key": b"}(]Nu",
        "odd-number-of-items": b"}(" + text("k") + b"u",
        "items-for-a-list": b"](K\x00K\x01u",
        "elements-for-a-dict": b"}(Ne",
        "elements-for-a-number": b"K\x01(Ne",
        "items-for-a-text": text("x") + b"(K\x00Nu",
        "empty-mark": b"](e",
        "mark-only": b"(",
        "nothing": b"",
        "two-values": b"NN",
        "end-without-a-mark": b"]Ne",
        "long-form-of-an-int": b"J\x01\x00\x00\x00",
        "long-form-of-a-text": b"X\x01\x00\x00\x00x",
        "long1-of-nothing": b"\x8a\x00",
        "long1-of-zeros": b"\x8a\x02\x01\x00",
        "utf-8-overlong": b"\x8c\x02\xc0\x80",
        "utf-8-broken": b"\x8c\x01\xff",
        "python-2-string": b"S'x'\n",
        "python-2-binstring": b"U\x01x",
        "single-append": b"]Na",
        "single-setitem": b"}" + text("k") + b"Ns",
        "proto-again": b"\x80\x05N",
        "unknown-opcode": b"\xff",
        "zero-bytes": b"\x00" * 16,
        "frame": b"\x95" + struct.pack("<Q", 1) + b"N",
        "stop": b"N.",
    }


def all_files(marker: Path) -> dict[str, bytes]:
    """Every attack as a file: name -> bytes."""
    fragments = code_fragments(marker) | handover_fragments() | bomb_fragments() | wrong_fragments()
    found = {f"bare-{name}": bare(fragment) for name, fragment in fragments.items()}
    found |= {f"disguised-{name}": disguised(fragment) for name, fragment in fragments.items()}
    return found | whole_pickles(marker)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in all_files(folder.resolve() / "marker").items():
        (folder / f"{name}.pkl").write_bytes(data)
