"""What a file that is no generator is: told from its first bytes, without opening it, to give an error that helps.

This module knows the signatures of other formats and the opcodes of pickle. It builds no object from a file.
"""

from __future__ import annotations

import contextlib
import pickletools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from clover_tvae.errors import ArtifactError, CorruptArtifactError, UnsafeArtifactError, UnsupportedArtifactError

# Every version of our format starts like this, so that a file of a later version is known as such.
MAGIC = b"\x80\x05}(\x8c\x06format\x8c"
# How much of a foreign file is looked at.
HEAD_BYTES = 2**16

EXPECTED = "Expected a generator file as TVAESynthesizer.save() writes it"
_REFIT = (
    "Open it only with the program that wrote it, and only if you know who did; to use the model here, fit it again "
    "with TVAESynthesizer (backend='sdv' for SDV's own engine, whose files open with trust_pickle=True)"
)

# What imports, calls, or hands over to code outside the pickle.
RUNS_CODE = {
    "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX",
    "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER",
}  # fmt: skip

_PRODUCERS = {
    **dict.fromkeys(("ctgan", "sdv", "rdt", "copulas"), "SDV or CTGAN"),
    **dict.fromkeys(("generators", "clover"), "Clover"),
    "torch": "PyTorch",
    "sklearn": "scikit-learn",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_<][A-Za-z_0-9>]*)*")


@dataclass
class PickleFacts:
    """What the opcodes of a pickle tell, found without opening it.

    Args:
        globals: What it would import, in order, as ``module.name``.
        runs_code: It would import, call, or hand over to code outside.
        n_opcodes: How many opcodes could be read.
        end: The byte after its last opcode; ``None`` where it does not end.
    """

    globals: list[str] = field(default_factory=list)
    runs_code: bool = False
    n_opcodes: int = 0
    end: int | None = None


def pickle_facts(head: bytes) -> PickleFacts:
    """Walk over the opcodes of a pickle, or of what may be one, as far as they go."""
    facts = PickleFacts()
    strings: list[str] = []
    memo: dict[Any, str] = {}
    # Any error ends the walk: what was seen until then is what there is to tell.
    with contextlib.suppress(Exception):
        for opcode, argument, position in pickletools.genops(head):
            facts.n_opcodes += 1
            facts.runs_code |= opcode.name in RUNS_CODE
            module_and_name = ""
            if opcode.name in ("GLOBAL", "INST"):
                module_and_name = str(argument).replace(" ", ".", 1)
            elif opcode.name == "STACK_GLOBAL":
                module_and_name = ".".join(strings[-2:])
            elif opcode.name in ("BINGET", "LONG_BINGET", "GET"):
                strings.append(memo.get(argument, ""))
            elif opcode.name in ("BINPUT", "LONG_BINPUT", "PUT"):
                memo[argument] = strings[-1] if strings else ""
            elif opcode.name == "MEMOIZE":
                memo[len(memo)] = strings[-1] if strings else ""
            elif isinstance(argument, str):
                # No module has a longer name, and a huge one joined again and again would take for ever.
                strings.append(argument if len(argument) <= 200 else "")
            elif opcode.name == "STOP" and position is not None:
                facts.end = position + 1
            known = len(facts.globals) == 64 or module_and_name in facts.globals
            if not known and _NAME.fullmatch(module_and_name):
                facts.globals.append(module_and_name)
    return facts


def unsafe(names: Sequence[str], file: str) -> UnsafeArtifactError:
    """Return the error for the pickle ``file``, which would import ``names``."""
    packages = {name.partition(".")[0] for name in names}
    producer = next((producer for package, producer in _PRODUCERS.items() if package in packages), None)
    by = f" written by {producer}" if producer else ""
    shown = ", ".join(name[:80] for name in names[:3] if _NAME.fullmatch(name))
    what = f" (it names {shown})" if shown else ""
    return UnsafeArtifactError(
        f"{file} is a pickle{by}{what}: opening it can run code that it carries. It was refused, and nothing of it "
        f"was run. {_REFIT}"
    )


def foreign(head: bytes, n_bytes: int, name: str) -> ArtifactError:
    """Return the error for a file of so many bytes, called ``name``, whose ``head``, up to ``HEAD_BYTES``, does not start like ours."""
    if n_bytes == 0:
        return CorruptArtifactError(f"{name} is empty. {EXPECTED}")
    if MAGIC.startswith(head):
        return CorruptArtifactError(f"{name} is truncated: it has only {n_bytes} bytes")
    what = _format_of(head)
    if what is not None:
        return UnsupportedArtifactError(f"{name} is {what}. {EXPECTED}")
    facts = pickle_facts(head)
    text = _is_text(head)
    starts_as_pickle = facts.n_opcodes > 1 and head[:1] == b"\x80" and head[1:2] <= b"\x05"
    # Text can look like opcodes of the oldest pickles: only one that ends as a pickle does is taken for one.
    if facts.runs_code and (starts_as_pickle or facts.end is not None or (facts.globals and not text)):
        return unsafe(facts.globals, name)
    if starts_as_pickle and facts.end is None and n_bytes > len(head):
        return unsafe(facts.globals, name)
    if facts.end == n_bytes:
        return CorruptArtifactError(f"{name} is a pickle of plain data, but no generator. {EXPECTED}")
    if text:
        return UnsupportedArtifactError(f"{name} is a text file, such as a CSV table. {EXPECTED}")
    return CorruptArtifactError(f"{name} is no generator file, or its start is damaged. {EXPECTED}")


def _format_of(head: bytes) -> str | None:
    if head.startswith(b"PK\x03\x04"):
        torch_file = b"/data.pkl" in head[:512] or head[30:].startswith(b"data.pkl")
        return "a torch file (a zip that holds a pickle)" if torch_file else "a zip archive"
    if head.startswith(b"PAR1"):
        return "a Parquet table"
    if re.match(rb".{3}[\x00-\x7f]\x00\x00\x00\x00\{\"", head, re.DOTALL):
        return "a bare safetensors file: weights without a model"
    return None


def _is_text(head: bytes) -> bool:
    try:
        # A head may end inside a character.
        text = head[:4096].decode("utf-8") if len(head) <= 4096 else head[:4096].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return False
    return not re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text)
