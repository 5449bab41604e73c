"""Limits of an evaluation: a small YAML file of figures and bounds that stops a release.

This module knows the YAML reader and the catalogue of figures. It computes no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clover_tvae.errors import ConfigError, LimitExceededError, Problem
from clover_tvae.jobs.yaml_file import read_yaml

if TYPE_CHECKING:
    from clover_tvae.evaluation.figures import Figure

__all__ = ["Limits", "enforce", "limit_problems", "load_limits", "passed_limits"]

Limits = Mapping[str, Mapping[str, float]]


def load_limits(path: str | Path) -> Limits:
    """Read a file of limits.

    Args:
        path: YAML: for each figure of the catalogue ``max``, ``min`` or both, such as
            ``privacy.membership_auc: {max: 0.55}``.

    Raises:
        ConfigError: With every problem of the file, each as ``file:line:column: message``.
    """
    name = str(path)
    node, problems = read_yaml(path)
    if node is None or problems:
        raise ConfigError(problems or Problem(name, "the file is empty; give at least one figure and its limit"))
    if not isinstance(node.value, dict) or not node.value:
        raise ConfigError(Problem(f"{name}:{node.line}:{node.column}", "expected a mapping of figures to limits"))
    limits = node.plain()
    for where, message in limit_problems(limits):
        line, column = node.place(where)
        problems.append(Problem(f"{name}:{line}:{column}", message, ConfigError))
    if problems:
        raise ConfigError(problems)
    return limits


def limit_problems(limits: object) -> list[tuple[tuple[str, ...], str]]:
    """Return what is wrong with limits: the path of keys, and the message.

    Example:
        >>> limit_problems({"fidelity.shap": {"max": 2}})
        [(('fidelity.shap',), "no figure has this key; did you mean 'fidelity.shape'?")]
    """
    from clover_tvae.evaluation.figures import check_limits

    found: list[tuple[tuple[str, ...], str]] = []
    if not isinstance(limits, Mapping):
        return [((), "expected a mapping of figures to limits")]
    for key, bounds in limits.items():
        try:
            check_limits({}, {key: bounds})
        except ConfigError as error:
            for problem in error.problems:
                bound = problem.where.removeprefix(f"limits.{key}").removeprefix(".")
                found.append(((str(key), bound) if bound else (str(key),), problem.message))
    return found


def enforce(figures: Mapping[str, Figure], limits: Limits) -> None:
    """Stop if a figure is beyond its limit, or was not measured.

    Raises:
        LimitExceededError: Naming every figure that is.
    """
    from clover_tvae.evaluation.figures import check_limits

    breaches = [str(breach) for breach in check_limits(figures, limits)]
    if breaches:
        raise LimitExceededError(passed_limits(breaches))


def passed_limits(breaches: Sequence[str]) -> str:
    """Return one message for the limits that are passed.

    Example:
        >>> passed_limits(["fidelity.shape: 2.5 is above the limit 2"])
        'a limit is passed: fidelity.shape: 2.5 is above the limit 2'
    """
    if len(breaches) == 1:
        return f"a limit is passed: {breaches[0]}"
    return f"{len(breaches)} limits are passed:\n" + "\n".join(f"  - {breach}" for breach in breaches)
