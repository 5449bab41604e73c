"""Limits: bounds of figures that stop a release, what is wrong with them, and which figures lie beyond."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clover_tvae.errors import ConfigError, Problem, did_you_mean
from clover_tvae.evaluation.catalogue import CATALOGUE, REMOVED
from clover_tvae.evaluation.figures import Figure, format_number

Limits = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Breach:
    """A figure beyond its limit.

    Args:
        value: What was measured; ``None`` where it was not, which passes no limit.
        bound: ``"max"`` or ``"min"``.
        why: Why it was not measured.
    """

    key: str
    value: float | None
    bound: str
    limit: float
    why: str = ""

    def __str__(self) -> str:
        if self.value is None:
            why = f" ({self.why.rstrip('.')})" if self.why else ""
            return f"{self.key}: not measured{why}, but a limit ({self.bound} {self.limit:g}) is set"
        side = "above" if self.bound == "max" else "below"
        return f"{self.key}: {format_number(self.value)} is {side} the limit {self.limit:g}"


def limit_problems(limits: object) -> list[tuple[tuple[str, ...], str]]:
    """Return what is wrong with limits: the path of keys, and the message.

    Example:
        >>> limit_problems({"fidelity.shap": {"max": 2}})
        [(('fidelity.shap',), "must be a figure of the catalogue, found 'fidelity.shap'; did you mean 'fidelity.shape'?")]
    """
    if not isinstance(limits, Mapping):
        return [((), f"must be a mapping of figures to bounds, found {type(limits).__name__}")]
    return [((str(key), *path), text) for key, bounds in limits.items() for path, text in _problems(str(key), bounds)]


def _problems(key: str, bounds: object) -> Iterator[tuple[tuple[str, ...], str]]:
    if key in REMOVED:
        section, _, name = key.partition(".")
        yield (), f"{name!r} of {section} was removed after version 0.1.0; use {REMOVED[key]} instead"
    elif key not in CATALOGUE:
        yield (), f"must be a figure of the catalogue, found {key!r}{did_you_mean(key, CATALOGUE)}"
    elif not isinstance(bounds, Mapping) or not bounds:
        yield (), f"must be max: number, min: number, or both, found {type(bounds).__name__}"
    else:
        known = {bound: limit for bound, limit in bounds.items() if bound in ("max", "min")}
        for bound in [bound for bound in bounds if bound not in known]:
            yield (), f"a bound must be max or min, found {bound!r}{did_you_mean(bound, ('max', 'min'))}"
        numbers = {k: v for k, v in known.items() if type(v) in (int, float) and math.isfinite(v)}
        wrong = {bound: limit for bound, limit in known.items() if bound not in numbers}
        for bound, limit in wrong.items():
            yield (bound,), f"must be a finite number, found {type(limit).__name__}"
        if not wrong and known.get("min", -math.inf) > known.get("max", math.inf):
            yield (), "min is above max: no figure can meet both"


def check_limits(figures: Mapping[str, Figure], limits: Limits) -> list[Breach]:
    """Return the figures beyond their limits.

    Args:
        limits: By key of the catalogue ``{"max": number}``, ``{"min": number}`` or both; a figure equal to its limit
            passes. A figure that was not measured is a breach: an unmeasured risk must not pass a gate.

    Raises:
        ConfigError: An unknown or removed key, an unknown bound, or a bound that is no number; all of them at once.

    Example:
        >>> from clover_tvae.evaluation.figures import Figures
        >>> measured = Figures.of([Figure.of("fidelity.shape", 2.5)])
        >>> [str(breach) for breach in check_limits(measured, {"fidelity.shape": {"max": 2}})]
        ['fidelity.shape: 2.5 is above the limit 2']
    """
    if problems := limit_problems(limits):
        raise ConfigError([Problem(".".join(("limits", *path)), message) for path, message in problems])
    found = []
    for key, bounds in limits.items():
        value = figures[key].value if key in figures else None
        why = figures[key].why_unmeasured if key in figures else ""
        for bound, limit in bounds.items():
            if value is None or (value > limit if bound == "max" else value < limit):
                found.append(Breach(key, value, bound, float(limit), why))
    return found


def passed_limits(breaches: Sequence[str]) -> str:
    """Return one message for the limits that are passed.

    Example:
        >>> passed_limits(["fidelity.shape: 2.5 is above the limit 2"])
        'a limit is passed: fidelity.shape: 2.5 is above the limit 2'
    """
    if len(breaches) == 1:
        return f"a limit is passed: {breaches[0]}"
    return f"{len(breaches)} limits are passed: {'; '.join(breaches)}"
