"""YAML read strictly: plain values with the line and column of each, or every problem of the file at once.

YAML has features that turn a small file into a large one (aliases), into code (tags), or into something other than
what its author sees (``NO`` is false, ``2024-01-01`` is a date, a second key silently wins). None of them is read here.
The text is parsed by PyYAML; this module composes the values from PyYAML's events, without recursion, so that a
deeply nested file is refused and not followed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from clover_tvae.errors import ConfigError, Problem

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Node", "parse_yaml", "read_yaml"]

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

    def place(self, path: Sequence[object]) -> tuple[int, int]:
        """Return the line and column of ``path``; steps that are not in the file are passed over."""
        return self._walk(path)[0]

    def is_flagged(self, path: Sequence[object]) -> bool:
        """Tell whether the loader has reported the value at ``path`` or anything that holds it."""
        return self._walk(path)[1]

    def _walk(self, path: Sequence[object]) -> tuple[tuple[int, int], bool]:
        node, place, flagged = self, (self.line, self.column), self.flagged
        for step in path:
            value = node.value
            if isinstance(value, dict) and step in value:
                place = node.keys.get(str(step), place)
                node = value[step]
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                node = value[step]
                place = (node.line, node.column)
            # Any other step is none of the file: a missing key, or a name that the schema gives to an alternative.
            flagged = flagged or node.flagged
        return place, flagged


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
        if not path.is_file():
            what = "is a folder, not a file" if path.is_dir() else "does not exist"
            return None, [Problem(name, f"the job file {what}", ConfigError)]
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        return None, [Problem(name, f"the file cannot be read ({type(error).__name__})", ConfigError)]
    if len(content) > MAX_BYTES:
        return None, [Problem(name, f"the file is larger than {MAX_BYTES:,} bytes; split it", ConfigError)]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, [Problem(f"{name}:{line}:1", "the file is not UTF-8 text", ConfigError)]
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str = "<text>", *, loader: Any = _LOADER) -> tuple[Node | None, list[Problem]]:
    """Compose the one document of ``text``.

    Args:
        text: The YAML text.
        name: What problems call it.
        loader: The class of PyYAML whose parser gives the events.

    Returns:
        The root node, ``None`` where nothing could be read, and every problem found.

    Example:
        >>> node, problems = parse_yaml("jobs: [NO, 007, *all]", "job.yaml")
        >>> for problem in problems:
        ...     print(problem)
        job.yaml:1:8: the bare word NO means false to some readers of YAML; write true or false, or put it in quotes
        job.yaml:1:12: a number in an unusual form; put it in quotes if it is text, else write it in decimal
        job.yaml:1:17: an alias (*) is not read here; write the value again, or use defaults
    """
    composer = _Composer(name)
    try:
        for event in yaml.parse(text, Loader=loader):
            if not composer.take(event):
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        composer.problem(mark, f"this is not YAML: {_without_values(error.problem)}")
    except yaml.YAMLError:
        composer.problem(None, "this is not YAML: it holds a character that YAML does not allow")
    if composer.root is None and not composer.problems:
        composer.problem(None, "the file is empty")
    return composer.root, composer.problems


def _without_values(problem: str | None) -> str:
    """Cut quoted text out of PyYAML's own message."""
    return re.sub(r"'[^']*'", "...", problem or "it cannot be parsed")


class _Composer:
    """Builds nodes from events, iteratively: ``stack`` holds the collections that are still open."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._documents = 0

    def problem(self, mark: Any, message: str) -> None:
        if len(self.problems) < _MAX_PROBLEMS:
            where = self.name if mark is None else f"{self.name}:{mark.line + 1}:{mark.column + 1}"
            self.problems.append(Problem(where, message, ConfigError))

    def take(self, event: Any) -> bool:
        """Take one event; return whether to go on."""
        mark = event.start_mark
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.problem(mark, "a second document (---) is not read here; one file holds one document")
                return False
            if event.version or event.tags:
                self.problem(mark, "directives (%) are not read here")
        elif isinstance(event, yaml.AliasEvent):
            self.problem(mark, "an alias (*) is not read here; write the value again, or use defaults")
            self._add(Node(None, mark.line + 1, mark.column + 1, flagged=True))
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            flagged = self._refuse_extras(event)
            if len(self._stack) >= MAX_DEPTH:
                self.problem(mark, f"values are nested more than {MAX_DEPTH} deep")
                return False
            if self._stack and self._stack[-1].wants_key:
                self.problem(mark, "a key must be text")
            self._stack.append(_Open(isinstance(event, yaml.MappingStartEvent), mark, flagged))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._add(self._stack.pop().node())
        return True

    def _refuse_extras(self, event: Any) -> bool:
        if event.anchor is not None:
            self.problem(event.start_mark, "an anchor (&) is not read here; write the value again, or use defaults")
        if event.tag is not None:
            self.problem(event.start_mark, "a tag (!) is not read here; values are text, numbers, true, false, null")
        return event.anchor is not None or event.tag is not None

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        flagged = self._refuse_extras(event)
        plain = not event.style  # None from PyYAML, "" from libyaml
        top = self._stack[-1] if self._stack else None
        if top is not None and top.wants_key:
            if plain and event.value == "<<":
                self.problem(mark, "a merge key (<<) is not read here; use defaults")
                top.key, top.discard = "", True  # what follows it is dropped
                return
            # A key is a name and always text, so that columns may be called `no`, `on` or `2024`.
            if event.value in top.items:
                self.problem(mark, f"the key {event.value!r} stands twice in one mapping")
                top.key, top.discard = "", True
                return
            top.key, top.discard = event.value, False
            top.keys[event.value] = (mark.line + 1, mark.column + 1)
            return
        value, message = _resolve(event.value) if plain and not flagged else (event.value, None)
        if message:
            self.problem(mark, message)
        self._add(Node(value, mark.line + 1, mark.column + 1, flagged=flagged or message is not None))

    def _add(self, node: Node) -> None:
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if not top.is_mapping:
            top.values.append(node)
        elif top.key is None:
            # A collection or an alias in the place of a key, reported already: its value is dropped with it.
            top.key, top.discard = "", True
        elif top.discard:
            top.key, top.discard = None, False
        else:
            top.items[top.key] = node
            top.key = None


class _Open:
    """A mapping or a list whose end has not been seen."""

    def __init__(self, is_mapping: bool, mark: Any, flagged: bool) -> None:
        self.is_mapping, self.mark, self.flagged = is_mapping, mark, flagged
        self.key: str | None = None
        self.discard = False
        self.items: dict[str, Node] = {}
        self.keys: dict[str, tuple[int, int]] = {}
        self.values: list[Node] = []

    @property
    def wants_key(self) -> bool:
        return self.is_mapping and self.key is None

    def node(self) -> Node:
        value = self.items if self.is_mapping else self.values
        return Node(value, self.mark.line + 1, self.mark.column + 1, self.keys, self.flagged)


def _resolve(text: str) -> tuple[Any, str | None]:
    """Return the value of a bare scalar, and what is wrong with it (the text is then kept)."""
    if text in ("", "~", "null"):
        return None, None
    if text in ("true", "false"):
        return text == "true", None
    if text.lower() in _MEANING:
        return text, (
            f"the bare word {text} means {_MEANING[text.lower()]} to some readers of YAML; "
            "write true or false, or put it in quotes"
        )
    if _FLOAT.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            return text, "the number has too many digits"
        if _INTEGER.fullmatch(text):
            return int(text), None
        number = float(text)
        return (number, None) if math.isfinite(number) else (text, "the number is too large")
    if _DATE.fullmatch(text):
        return text, "a bare date is read differently by different readers of YAML; put it in quotes"
    if _ODD_NUMBER.fullmatch(text):
        return text, "a number in an unusual form; put it in quotes if it is text, else write it in decimal"
    return text, None
