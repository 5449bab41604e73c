"""The plain form as a JSON file: loaded with ``file:line:column`` for every problem, saved atomically.

What a document means is said by ``document``.
"""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Collection
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from clover_tvae.errors import MetadataError, Problem, TableFileError
from clover_tvae.files import MOST_OF_ONE_HASH, atomic_write, read_text
from clover_tvae.metadata.document import Place, in_document, read_document

_MAX_BYTES = 4 * 2**20  # that of a table of thousands of columns has a tenth
_LONG = 19  # digits of a number whose hash can be that of others


def load_document(path: Path) -> tuple[Any, ...]:
    """Read a JSON file; see ``read_document``.

    Raises:
        MetadataError: With every problem as ``file:line:column``.
    """
    try:
        text = read_text(path, _MAX_BYTES)
    except TableFileError as error:
        raise MetadataError([Problem(problem.where, problem.message) for problem in error.problems]) from None
    problems: list[tuple[Place, str]] = []
    hashes = Counter[int]()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(made := dict(items)) < len(items):
            repeated = (key for key, count in Counter(key for key, _ in items).items() if count > 1)
            problems.extend(((), f"the key {key!r} is given twice in one object; keep one") for key in repeated)
        return made

    def tell(found: list[tuple[Place, str]]) -> list[Problem]:
        at, told = _positions(text, {place[:n] for place, _ in found for n in range(len(place) + 1)}), []
        for (place, _), problem in zip(found, in_document(found), strict=True):
            line, column = next(at[place[:n]] for n in range(len(place), -1, -1) if place[:n] in at)
            told.append(Problem(f"{path}:{line}:{column}", str(problem)))
        return told

    def refuse(_: str) -> Any:
        raise ValueError

    def whole(digits: str) -> int:
        number = int(digits)
        hashes[hash(number)] += len(digits) >= _LONG
        return number if hashes[hash(number)] <= MOST_OF_ONE_HASH else refuse(digits)

    try:
        obj = json.loads(text, object_pairs_hook=pairs, parse_constant=refuse, parse_int=whole)
    except json.JSONDecodeError as error:
        raise MetadataError(f"not valid JSON: {error.msg}", f"{path}:{error.lineno}:{error.colno}") from None
    except (ValueError, RecursionError):
        what = "nested too deeply, or a number that is NaN, infinite or too long"
        raise MetadataError(f"not valid JSON: {what}", str(path)) from None
    return read_document(obj, problems, tell)


_SPACE = re.compile(r"[ \t\n\r]*")


def _positions(text: str, wanted: Collection[Place]) -> dict[Place, tuple[int, int]]:
    """Return the line and column of the wanted keys and entries, as far as they are there, of a text that is valid JSON.

    Args:
        wanted: Places, with all on the way to them: only those are walked through.
    """
    offsets: dict[Place, int] = {}
    scan = json.JSONDecoder().raw_decode

    def skip(at: int) -> int:
        return _SPACE.match(text, at).end()  # type: ignore[union-attr]

    def value(at: int, place: Place) -> int:
        at = skip(at)
        if place in wanted:
            offsets.setdefault(place, at)
        if place not in wanted or text[at] not in "[{":
            return scan(text, at)[1]
        closing, position, start = ("]" if text[at] == "[" else "}"), 0, at
        at = skip(at + 1)
        while text[at] != closing and len(offsets) < len(wanted):  # or all are found
            if text[start] == "{":
                key, end = scanstring(text, at + 1)
                if (*place, key) in wanted:
                    offsets.setdefault((*place, key), at)
                at = value(skip(end) + 1, (*place, key))
            else:
                at = value(at, (*place, position))
            position += 1
            at = skip(at)
            if text[at] == ",":
                at = skip(at + 1)
        return at + 1

    value(0, ())
    starts = [0] + [match.end() for match in re.finditer("\n", text)]
    lines = {place: bisect.bisect_right(starts, at) for place, at in offsets.items()}
    return {place: (line, offsets[place] - starts[line - 1] + 1) for place, line in lines.items()}


def save_document(document: dict[str, Any], path: Path) -> None:
    """Write a plain document as JSON, atomically."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: only an escape can carry it
        data = json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False).encode("ascii")
    atomic_write(path, lambda file: file.write(data + b"\n") and None, mode=0o666)
