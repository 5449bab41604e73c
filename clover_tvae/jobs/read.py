"""Job files read: each job merged with the defaults of its file, and held against the keys of a job; and files of limits."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clover_tvae.errors import MOST_PROBLEMS, ConfigError, Problem, did_you_mean
from clover_tvae.evaluation.catalogue import CATALOGUE
from clover_tvae.evaluation.limits import Limits, limit_problems
from clover_tvae.jobs.spec import JobSpec, spec_problems
from clover_tvae.jobs.yaml_file import Node, read_yaml

_TOP_KEYS = ("version", "defaults", "jobs")
# Of these mappings, single keys of the defaults stay where the job gives others; every other value replaces whole.
_MERGED = ("synthesizer", "sample")


@dataclass(frozen=True)
class Draft:
    """A job as its file says it, before it is checked.

    Args:
        spec: What the file says, less what the schema refuses.
        node: The job in the file, defaults merged in; it knows where everything stands.
        folder: The folder, absolute, that paths are relative to.
        path: The job file, absolute.
        refused: The keys in which the schema refused something. What is left of such a job is checked further, so that
            a path that leaves the folder is reported together with a misspelt key.
    """

    spec: JobSpec
    node: Node
    folder: Path
    path: Path
    refused: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether the schema refused nothing."""
        return not self.refused

    @cached_property
    def file(self) -> str:
        """The job file, as messages call it."""
        return path_called(self.path)

    def problem(self, path: Sequence[str | int], message: str) -> Problem:
        return self.node.problem(self.file, path, message)


def path_called(path: Path) -> str:
    """Return how messages call a path: from the working folder, where it lies below that."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def read_drafts(file: Path, root: str | Path | None, problems: list[Problem]) -> tuple[list[Draft], set[str]]:
    """Read one job file.

    Args:
        file: Its absolute path.
        root: The folder that paths are relative to; that of the file if ``None``.

    Returns:
        The jobs, and the names of all that stand in the file.
    """
    called = path_called(file)
    document, found = read_yaml(file, called)
    problems += found
    if document is None:
        return [], set()
    folder = (file.parent if root is None else Path(root)).resolve()
    drafts: list[Draft] = []
    names: dict[str, str] = {}

    def tell(path: Sequence[str | int], message: str) -> None:
        problems.append(document.problem(called, path, message))

    for index, node in _job_nodes(document, tell):
        if len(problems) >= MOST_PROBLEMS:
            break
        name = node.value["name"].value if "name" in node.value else None
        if isinstance(name, str):
            # Names become file names, and some file systems know no case.
            if name.casefold() in names:
                tell(("jobs", index, "name"), f"the name {name!r} is taken by another job of this file")
            names.setdefault(name.casefold(), name)
        try:
            drafts.append(Draft(JobSpec.model_validate(node.plain()), node, folder, file))
        except ValidationError as error:
            refused = spec_problems(error)
            # What the YAML reader has reported already would only be reported again as something else.
            problems += [node.problem(called, path, text) for path, text in refused if not node.find(path)[2]]
            with contextlib.suppress(ValidationError):
                sound = JobSpec.model_validate(_sound(node.plain(), [path for path, _ in refused]))
                drafts.append(Draft(sound, node, folder, file, frozenset(str(path[0]) for path, _ in refused)))
    return drafts, set(names.values())


def _job_nodes(document: Node, tell: Callable[[Sequence[str | int], str], None]) -> Iterator[tuple[int, Node]]:
    """Yield the mapping of each job, the defaults merged in, and its place in the list."""
    top = document.value
    if not isinstance(top, dict):
        tell((), "must be a mapping with the keys version and jobs")
        return
    if top and not {*top} & {*_TOP_KEYS} and {*top} & {*CATALOGUE}:
        tell((), "this is a file of limits, not of jobs; name it in the key limits of a job, or in evaluate --limits")
        return
    for key in top:
        if key not in _TOP_KEYS:
            hint = did_you_mean(key, _TOP_KEYS) or f"; known: {', '.join(_TOP_KEYS)}"
            tell((key,), f"unknown key {key!r}{hint}")
    version = top.get("version")
    if version is None:
        tell((), "the key 'version' is missing; write version: 1")
    elif not (type(version.value) is int and version.value == 1):
        tell(("version",), "this release reads version 1 of a job file; write version: 1")
    defaults = top.get("defaults")
    if defaults is not None and not isinstance(defaults.value, dict):
        tell(("defaults",), "must be a mapping of the keys of a job")
        defaults = None
    if defaults is not None and "name" in defaults.value:
        tell(("defaults", "name"), "the key 'name' belongs to a job, not to the defaults")
    nodes = top.get("jobs")
    if nodes is None or not isinstance(nodes.value, list) or not nodes.value:
        tell(("jobs",), "must be a list of jobs, at least one")
        return
    for index, node in enumerate(nodes.value):
        if isinstance(node.value, dict):
            yield index, node if defaults is None else _merged(defaults, node)
        else:
            tell(("jobs", index), "must be a mapping with the keys of a job")


def _merged(defaults: Node, job: Node) -> Node:
    # A default sample only completes the samples of a job; it gives none to a job that has none.
    dropped = {"name"} if "sample" in job.value else {"name", "sample"}
    kept = {key: node for key, node in defaults.value.items() if key not in dropped}
    merged = _over(replace(defaults, value=kept), job)
    for key in _MERGED:
        if key in kept and key in job.value and isinstance(kept[key].value, dict):
            node = job.value[key]
            if isinstance(node.value, list):
                merged.value[key] = replace(node, value=[_over(kept[key], part) for part in node.value])
            else:
                merged.value[key] = _over(kept[key], node)
    return merged


def _over(default: Node, node: Node) -> Node:
    """Return a mapping with what it lacks from ``default``."""
    if not isinstance(node.value, dict):
        return node
    return replace(node, value={**default.value, **node.value}, keys={**default.keys, **node.keys})


def _sound(job: dict[str, Any], paths: Iterable[Sequence[str | int]]) -> dict[str, Any]:
    """Return the keys of a job that no problem lies in or under; of its samples, the sound keys and conditions."""
    sound = {"name": "unnamed", **job}
    several = isinstance(job.get("sample"), list)
    samples: list[Any] = [
        part | {} if isinstance(part, dict) else part for part in (job["sample"] if several else [job.get("sample")])
    ]
    for key, *rest in paths:
        if key != "sample" or len(rest) < 2 or not isinstance(rest[0], int):
            sound.pop(str(key), None)
        elif rest[1] == "conditions" and len(rest) > 2 and isinstance(samples[rest[0]].get("conditions"), dict):
            conditions = samples[rest[0]]["conditions"]
            samples[rest[0]]["conditions"] = {name: said for name, said in conditions.items() if name != rest[2]}
        else:
            samples[rest[0]].pop(rest[1], None)
    if "sample" in sound:
        # What a sample must have and has not gets a stand-in that passes every check.
        sound["sample"] = [
            {"rows": 0, "output": f"refused-{index}.csv"} | part if isinstance(part, dict) else part
            for index, part in enumerate(samples)
        ]
    return sound


def load_limits(path: str | Path) -> Limits:
    """Read a file of limits.

    Args:
        path: YAML: for each figure of the catalogue ``max``, ``min`` or both, such as
            ``privacy.membership_auc: {max: 0.55}``.

    Raises:
        ConfigError: With every problem of the file, each as ``file:line:column: message``.
    """
    node, problems = read_yaml(path)
    if node is not None and not problems:
        limits: Limits = node.plain()
        wrong = limit_problems(limits) if limits else [((), "must name at least one figure, found none")]
        if not wrong:
            return limits
        problems = [node.problem(str(path), where, message) for where, message in wrong]
    raise ConfigError(problems)
