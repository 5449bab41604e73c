"""YAML read strictly: plain values with the line and column of each, or every problem of the file at once.

YAML has features that turn a small file into a large one (aliases), into code (tags), or into something other than
what its author sees (``NO`` is false, ``2024-01-01`` is a date, a second key silently wins). None of them is read here.
The text is parsed by PyYAML; this module composes the values from PyYAML's events, down to a depth that is bounded.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from clover_tvae.errors import Problem, TableFileError
from clover_tvae.files import read_text

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
_MAX_PROBLEMS = 50
_MAX_DIGITS = 25

# libyaml where it is compiled in: a 1 MiB file takes 0.2 s instead of 10.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?")
_ODD_NUMBER = re.compile(
    r"[-+]?(0[0-9_]+|0[xob][0-9a-fA-F_]+|[0-9][0-9_,]*_[0-9_]*(\.[0-9_]*)?|[0-9]+(:[0-9]+)+(\.[0-9]*)?|\.(inf|nan))",
    re.I,
)
#: Bare words that some readers of YAML take for something else.
_MEANING = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
    "null": "nothing",
}


@dataclass(frozen=True)
class Node:
    """A value of the file, and where it stands.

    Args:
        value: ``None``, a bool, int, float or str; a list of nodes; or a dict of str to node.
        line: Line of the value, from 1.
        column: Column of the value, from 1.
        keys: Where each key of a mapping stands, as (line, column).
        flagged: The loader has already reported this value, so that nobody needs to report it again.
    """

    value: Any
    line: int
    column: int
    keys: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    flagged: bool = False

    def plain(self) -> Any:
        """Return the value as plain Python lists, dicts and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def problem(self, file: str, path: Sequence[object], message: str) -> Problem:
        """Return a problem of what stands at ``path``; steps that are not in the file are passed over."""
        line, column, _ = self.find(path)
        return Problem(f"{file}:{line}:{column}", message)

    def find(self, path: Sequence[object]) -> tuple[int, int, bool]:
        """Return the line and column of ``path``, and whether the loader has reported it or anything that holds it."""
        node, (line, column), flagged = self, (self.line, self.column), self.flagged
        for step in path:
            # Any other step is none of the file: a missing key, or a name that the schema gives to an alternative.
            if isinstance(node.value, dict) and step in node.value:
                line, column = node.keys.get(str(step), (line, column))
                node = node.value[step]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line, column = node.line, node.column
            flagged = flagged or node.flagged
        return line, column, flagged


def read_yaml(path: str | Path, name: str | None = None) -> tuple[Node | None, list[Problem]]:
    """Read the YAML file at ``path``.

    Args:
        path: A file of at most 1 MiB, UTF-8.
        name: What problems call the file; its path if ``None``.

    Returns:
        The root node, ``None`` where nothing could be read, and every problem found.
    """
    path = Path(path)
    name = name or str(path)
    try:
        text = read_text(path, MAX_BYTES)
    except TableFileError as error:
        return None, [Problem(problem.where.replace(str(path), name), problem.message) for problem in error.problems]
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str = "<text>") -> tuple[Node | None, list[Problem]]:
    """Compose the one document of ``text``, which problems call ``name``.

    Example:
        >>> node, problems = parse_yaml("jobs: [NO, 007, *all]", "job.yaml")
        >>> for problem in problems:
        ...     print(problem)
        job.yaml:1:8: the bare word NO means false to some readers of YAML; write true or false, or put it in quotes
        job.yaml:1:12: a number in an unusual form; put it in quotes if it is text, else write it in decimal
        job.yaml:1:17: an alias (*) is not read here; write the value again, or use defaults
    """
    problems: list[Problem] = []

    def tell(mark: Any, message: str) -> None:
        if len(problems) >= _MAX_PROBLEMS:
            raise _EnoughError
        problems.append(Problem(name if mark is None else f"{name}:{mark.line + 1}:{mark.column + 1}", message))

    root = None
    with contextlib.suppress(_EnoughError):
        try:
            root = _Composer(yaml.parse(text, Loader=_LOADER), tell).document()
        except yaml.MarkedYAMLError as error:
            # PyYAML's own message, less the text that it quotes.
            message = re.sub(r"'[^']*'", "...", error.problem or "it cannot be parsed")
            tell(error.problem_mark or error.context_mark, f"this cannot be read as YAML: {message}")
        except yaml.YAMLError:
            tell(None, "this is not YAML: it holds a character that YAML does not allow")
        if root is None and not problems:
            tell(None, "the file is empty")
    return root, problems


class _EnoughError(Exception):
    """Enough problems are told."""


class _Composer:
    """Builds nodes from PyYAML's events; what is refused is told, and replaced or left out."""

    def __init__(self, events: Iterator[Any], tell: Callable[[Any, str], None]) -> None:
        self.events, self.tell = events, tell

    def document(self) -> Node | None:
        """Return the value of the first document."""
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.tell(event.start_mark, "a second document (---) is not read here; one file holds one document")
                    break
                if event.version or event.tags:
                    self.tell(event.start_mark, "directives (%) are not read here")
                root = self._value(next(self.events))
        return root

    def _value(self, event: Any, depth: int = 0) -> Node:
        """Return the value that ``event`` starts."""
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            self.tell(mark, "an alias (*) is not read here; write the value again, or use defaults")
            return Node(None, *place, flagged=True)
        flagged = self._has_extras(event)
        if isinstance(event, yaml.ScalarEvent):
            # The style of a bare word is None from PyYAML, "" from libyaml.
            value, message = (event.value, None) if event.style or flagged else _resolve(event.value)
            if message:
                self.tell(mark, message)
            return Node(value, *place, flagged=flagged or message is not None)
        if depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"values are nested more than {MAX_DEPTH} deep", problem_mark=mark)
        keys: dict[str, tuple[int, int]] = {}
        if isinstance(event, yaml.MappingStartEvent):
            return Node(self._items(keys, depth + 1), *place, keys, flagged)
        values = []
        while not isinstance(part := next(self.events), yaml.SequenceEndEvent):
            values.append(self._value(part, depth + 1))
        return Node(values, *place, keys, flagged)

    def _items(self, keys: dict[str, tuple[int, int]], depth: int) -> dict[str, Node]:
        items: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            mark, key = event.start_mark, None
            if not isinstance(event, yaml.ScalarEvent):
                if not isinstance(event, yaml.AliasEvent):
                    self.tell(mark, "a key must be text")
                self._value(event, depth)
            elif not self._has_extras(event) and not event.style and event.value == "<<":
                self.tell(mark, "a merge key (<<) is not read here; use defaults")
            elif event.value in items:
                self.tell(mark, f"the key {event.value!r} stands twice in one mapping")
            else:
                # A key is a name and always text, so that columns may be called `no`, `on` or `2024`.
                key = str(event.value)
            value = self._value(next(self.events), depth)
            if key is not None:
                items[key], keys[key] = value, (mark.line + 1, mark.column + 1)
        return items

    def _has_extras(self, event: Any) -> bool:
        if event.anchor is not None:
            self.tell(event.start_mark, "an anchor (&) is not read here; write the value again, or use defaults")
        if event.tag is not None:
            self.tell(event.start_mark, "a tag (!) is not read here; values are text, numbers, true, false, null")
        return event.anchor is not None or event.tag is not None


def _resolve(text: str) -> tuple[Any, str | None]:
    """Return the value of a bare scalar, and what is wrong with it (the text is then kept)."""
    if text in ("", "~", "null"):
        return None, None
    if text in ("true", "false"):
        return text == "true", None
    if text.lower() in _MEANING:
        fault = f"the bare word {text} means {_MEANING[text.lower()]} to some readers of YAML"
        return text, f"{fault}; write true or false, or put it in quotes"
    if _FLOAT.fullmatch(text):
        # 64 bits have 20 digits. Of longer whole numbers, thousands can share one hash, and tables of them take minutes to fill.
        if len(text) > (20 if _INTEGER.fullmatch(text) else _MAX_DIGITS):
            return text, "the number has too many digits"
        if _INTEGER.fullmatch(text):
            return int(text), None
        number = float(text)
        return (number, None) if math.isfinite(number) else (text, "the number is too large")
    if _DATE.fullmatch(text):
        return text, "a bare date is read differently by different readers of YAML; put it in quotes"
    if len(text) <= 100 and _ODD_NUMBER.fullmatch(text):  # a longer text could take hours to match
        return text, "a number in an unusual form; put it in quotes if it is text, else write it in decimal"
    return text, None
