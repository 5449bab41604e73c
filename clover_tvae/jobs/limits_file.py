"""A file of limits: YAML of figures and their bounds, read with the place of every problem."""

from __future__ import annotations

from pathlib import Path

from clover_tvae.errors import ConfigError, Problem
from clover_tvae.evaluation.limits import Limits, limit_problems
from clover_tvae.jobs.yaml_file import read_yaml

__all__ = ["load_limits"]


def load_limits(path: str | Path) -> Limits:
    """Read a file of limits.

    Args:
        path: YAML: for each figure of the catalogue ``max``, ``min`` or both, such as
            ``privacy.membership_auc: {max: 0.55}``.

    Raises:
        ConfigError: With every problem of the file, each as ``file:line:column: message``.
    """
    node, problems = read_yaml(path)
    if node is None or problems:
        raise ConfigError(problems or Problem(str(path), "the file is empty; give at least one figure and its limit"))
    limits = node.plain()
    for where, message in limit_problems(limits) if limits else [((), "must name at least one figure, found none")]:
        line, column = node.place(where)
        problems.append(Problem(f"{path}:{line}:{column}", message, ConfigError))
    if problems:
        raise ConfigError(problems)
    return limits
