"""What each figure means: its texts, its chart and its verdict, in plain words that do not flatter.

A figure is judged against the same figure for real rows that the generator never saw; where there is none, against what
a perfect generator would score. With a confidence interval, worse means: the whole interval lies on the bad side. Tests of
privacy are corrected for their number (Holm): where nothing leaks, a page of them finds a leak in one of 20 cases. Only whether
a rare row is copied is judged by itself, which gives a false alarm in one of 20 more, where chance copies rows at all. Figures
against the learnt rows are judged for being too close alone: whoever copies these is nearest to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clover_tvae.evaluation.catalogue import OF_GENERATOR
from clover_tvae.evaluation.figures import Figure
from clover_tvae.report.charts import dot_strip
from clover_tvae.report.formatting import decimal_text
from clover_tvae.report.svg import Chart

Verdict = Literal["worse", "equal", "odd", "unknown"]
Place = Literal["main", "closeness", "appendix"]

# Where figures stand that do not count as good or bad: against the learnt rows, and in the appendix.
_PLACES: Mapping[str, Place] = {
    "fidelity.c2st": "closeness",
    "fidelity.shape": "closeness",
    "fidelity.trend_shared": "closeness",
    "privacy.dcr_share": "appendix",
    "privacy.dcr_quantile": "appendix",
}

#: Figures that say how close the rows are to what was learnt: without the learnt rows they say nothing.
CLOSENESS = tuple(key for key, place in _PLACES.items() if place == "closeness")

# The bad side of figures whose catalogue entry only says that a target is to be met: 1 above it, -1 below it.
_BAD_SIDE = {"privacy.dcr_share": 1, "privacy.dcr_quantile": 1, "privacy.copies": 1, "fidelity.c2st_heldout": 1}
_TOO_CLOSE = 0.25  # of the way from a holdout's C2ST to that of the bootstrap, which is copies

GOOD_LOSS = 0.02  # of AUC or R2, lost against models that learnt real rows, that a reader should call none

# What may lie between two figures that a reader should call equal, by unit, where there is no interval.
_TOLERANCE = {"%": 0.15, "share": 0.01, "AUC": GOOD_LOSS, "score": GOOD_LOSS, "ratio": 0.05}
_RELATIVE_TOLERANCE = 0.1
_BY_ITSELF = "privacy.copied_rare"  # one person who stands there word for word is a leak, whatever else was asked
_FALSE_ALARMS = 0.05  # most pages of rows from nobody on which any test of privacy finds a leak
_VALUES = ("value", "holdout", "bootstrap", "perfect")

LIKE_REAL = {"privacy": "no leak found by this", "fidelity": "like a real holdout", "utility": "like real rows"}
_WORSE = {"privacy": "leak found", "fidelity": "worse than a real holdout", "utility": "worse than real rows"}
_WORDS = {
    "main": {"worse": _WORSE, "equal": LIKE_REAL},
    "closeness": {"odd": {"fidelity": "too close to be fresh"}, "equal": {"fidelity": "not closer than fresh rows"}},
    "appendix": {"worse": {"privacy": "nearer than by chance"}, "equal": {"privacy": "as near as by chance"}},
}


@dataclass(frozen=True)
class Reading:
    """One figure as the page shows it: texts, its chart, and the verdict."""

    key: str
    section: str
    label: str
    value: str
    interval: str
    holdout: str
    bootstrap: str
    perfect: str
    says: str
    n: str
    seed: int | None
    strip: Chart | str
    verdict: Verdict
    reading: str
    sentence: str
    place: Place
    counts: bool


def figure_text(value: float | None, unit: str) -> str:
    """Return a figure with its unit.

    Example:
        >>> figure_text(1.254, "%"), figure_text(0.5234, "AUC"), figure_text(None, "%"), figure_text(3.0, "count")
        ('1.25%', '0.523', '–', '3')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if unit == "count" else decimal_text(value) + ("%" if unit == "%" else "")


def interval_text(figure: Figure) -> str:
    """Return the figure's confidence interval, or nothing where it has none."""
    return " to ".join(figure_text(end, figure.unit) for end in figure.interval or ())


def readings(figures: Any) -> list[Reading]:
    """Return the figures ready to be shown.

    Args:
        figures: A ``Figures``, any mapping of figures, or an empty sequence.
    """
    given = list(figures.values() if isinstance(figures, Mapping) else figures)
    found = _found(given)
    return [_reading(figure, figure in found) for figure in given]


def finds_leak(read: Sequence[Reading]) -> bool:
    """Whether a figure of privacy, of the rows or of the file, finds a leak."""
    return any(one.section == "privacy" and one.counts and one.verdict == "worse" for one in read)


def leaks(tables: Sequence[Mapping[str, Figure]]) -> list[Figure]:
    """Return the tests of the rows that find a leak, corrected for the number of all tests of all the tables."""
    tests = [figure for table in tables for figure in table.values()]
    found = _found(tests)
    return [figure for figure in tests if figure in found and not figure.name.startswith(OF_GENERATOR)]


def _found(figures: Sequence[Figure]) -> list[Figure]:
    """Return the tests that find something, by the step-down of Holm (1979); whether a rare row is copied is a question by itself."""
    tests = [figure for figure in figures if figure.p is not None and figure.value is not None]
    found: list[Figure] = []
    for is_rare in (True, False):
        family = [figure for figure in tests if (figure.name == _BY_ITSELF) == is_rare]
        for rank, figure in enumerate(sorted(family, key=lambda figure: figure.p or 0.0)):
            if (figure.p or 0.0) > _FALSE_ALARMS / (len(family) - rank):
                break
            found.append(figure)
    return found


def _reading(figure: Figure, is_found: bool) -> Reading:
    place = _PLACES.get(figure.name, "main")
    verdict, sentence = _verdict(figure, place, is_found), _sentence(figure)
    return Reading(
        key=figure.name,
        section=figure.section,
        label=figure.title or figure.name,
        **{field: figure_text(getattr(figure, field), figure.unit) for field in _VALUES},
        interval=interval_text(figure),
        says=figure.note,
        n=f"{figure.n:,}",
        seed=figure.seed,
        strip=_strip(figure, sentence),
        verdict=verdict,
        reading="not measured"
        if figure.value is None
        else _WORDS[place].get(verdict, {}).get(figure.section, "not judged"),
        sentence=sentence,
        place=place,
        counts=place == "main" and verdict != "unknown",
    )


def _verdict(figure: Figure, place: Place, is_found: bool) -> Verdict:
    value = figure.value
    if place == "closeness":
        return "unknown" if value is None else "odd" if _is_too_close(figure, value) else "equal"
    if value is not None and figure.p is not None:
        return "worse" if is_found else "equal"
    reference = figure.perfect if figure.section == "privacy" and figure.perfect is not None else figure.holdout
    reference = figure.perfect if reference is None else reference
    if value is None or reference is None:
        return "unknown"
    slack = max(_TOLERANCE.get(figure.unit, 0.0), _RELATIVE_TOLERANCE * abs(reference) if figure.unit == "%" else 0.0)
    low, high = figure.interval or (value - slack, value + slack)
    side = _BAD_SIDE.get(figure.name) or {"lower": 1, "higher": -1, "target": 0}[figure.better]
    if side == 0:
        # Both sides are bad: as far from the target as the holdout is, either way, is still equal.
        target = figure.perfect if figure.perfect is not None else reference
        distance = abs(reference - target)
        return "worse" if low > target + distance or high < target - distance else "equal"
    if figure.perfect is not None and side > 0:
        reference = max(reference, figure.perfect)  # a holdout that did better than perfect did so by chance
    return "worse" if (side > 0 and low > reference) or (side < 0 and high < reference) else "equal"


def _is_too_close(figure: Figure, value: float) -> bool:
    """Whether the rows lie nearer to the training rows than rows drawn from these themselves."""
    if figure.name == "fidelity.c2st":
        # Below 0.5 the trees take rows for the real ones that they learnt, as they do with copies.
        reference = min(0.5, 0.5 if figure.holdout is None else figure.holdout)
        bootstrap = reference - 0.15 if figure.bootstrap is None else figure.bootstrap
        return value < reference - _TOO_CLOSE * (reference - bootstrap)
    if figure.name in ("fidelity.shape", "fidelity.trend_shared") and figure.bootstrap is not None:
        return value < 0.6 * min(figure.bootstrap, figure.bootstrap if figure.holdout is None else figure.holdout)
    return False


def _sentence(figure: Figure) -> str:
    title = figure.title or figure.name
    if figure.value is None:
        return f"{title}: not measured."
    interval = interval_text(figure)
    parts = [figure_text(figure.value, figure.unit) + (f" (95% interval {interval})" if interval else "")]
    if figure.holdout is not None:
        parts.append(f"{figure_text(figure.holdout, figure.unit)} for real rows")
    if figure.perfect is not None:
        words = "for a model trained on real rows" if figure.section == "utility" else "for a perfect generator"
        parts.append(f"{figure_text(figure.perfect, figure.unit)} {words}")
    return f"{title}: {', '.join(parts)}."


def _strip(figure: Figure, sentence: str) -> Chart | str:
    if figure.value is None:
        return ""
    marks = (figure.value, figure.holdout, figure.perfect, *(figure.interval or ()))
    known = [mark for mark in marks if mark is not None]
    least = {"%": 0.0, "count": 0.0, "share": 0.0, "AUC": 0.5}.get(figure.unit, math.inf)
    widest = {"AUC": 0.1, "share": 0.1, "%": 1.0, "count": 1.0}.get(figure.unit, 0.05)
    low = min(*known, least)
    reference = figure.holdout if figure.holdout is not None else figure.perfect
    return dot_strip(figure.value, figure.interval, reference, (low, max(*known, low + widest)), sentence)
