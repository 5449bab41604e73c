"""What the figures mean, in plain words that do not flatter.

Knows figures and how to hold each against a real holdout. Must not know tables, charts' insides or HTML.

A figure is judged against the same figure for real rows that the generator never saw; where there is none, against what
a perfect generator would score. With a confidence interval, worse means: the whole interval lies on the bad side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clover_tvae.evaluation.figures import Figure
from clover_tvae.report.charts import dot_strip
from clover_tvae.report.distributions import Marginal
from clover_tvae.report.formatting import decimal_text, listed, percent_text
from clover_tvae.report.svg import Chart

__all__ = ["Reading", "figure_text", "readings", "sections", "summary"]

Verdict = Literal["worse", "equal", "odd", "unknown"]

# Other forms of figures that are judged already: shown, but not counted twice.
_OTHER_FORMS = frozenset({"fidelity.c2st_score", "fidelity.trend_own", "fidelity.trend_strong"})

# The bad side of figures whose catalogue entry only says that a target is to be met: 1 above it, -1 below it.
_BAD_SIDE = {
    "privacy.dcr_share": 1,
    "privacy.dcr_quantile": 1,
    "privacy.copies": 1,
    "privacy.distance_ratio": -1,
    "fidelity.c2st": 1,
}
_TOO_CLOSE = 0.25  # of the way from a holdout's C2ST to that of the bootstrap, which is copies

# What may lie between two figures that a reader should call equal, by unit, where there is no interval.
_TOLERANCE = {"%": 0.15, "share": 0.01, "AUC": 0.01, "score": 0.01, "ratio": 0.05}
_RELATIVE_TOLERANCE = 0.1

_TAGS: dict[tuple[str, Verdict], str] = {
    ("fidelity", "worse"): "worse than a real holdout",
    ("fidelity", "equal"): "like a real holdout",
    ("fidelity", "odd"): "too close to be fresh",
    ("utility", "worse"): "worse than real rows",
    ("utility", "equal"): "like real rows",
    ("privacy", "worse"): "leak found",
    ("privacy", "equal"): "no leak found by this",
}
_ORDER = ("privacy", "fidelity", "utility")
_LEADING = frozenset(
    {
        "fidelity.shape",
        "fidelity.trend_shared",
        "fidelity.c2st",
        "fidelity.relations_broken",
        "utility.loss",
    }
)
_FEW_HOLDOUT_ROWS = 1_000

# The three risks of Opinion 05/2014 of the European data protection authorities (WP 216): what each asks, the figures that
# speak to it, and what these cannot say.
_RISKS = (
    (
        "Singling out",
        "Does a row point at one person?",
        (
            "privacy.copies",
            "privacy.dcr_quantile",
            "privacy.distance_ratio",
            "privacy.membership_auc_outliers",
            "privacy.membership_tpr10_outliers",
        ),
        "They look at whole rows: a few cells that single a person out are not looked for.",
    ),
    (
        "Linkage",
        "Can who holds a person's row tell that the person was in the training rows?",
        ("privacy.membership_auc", "privacy.membership_tpr1", "privacy.shadow_auc", "privacy.shadow_tpr1"),
        "The attacker is taken to hold the whole row; joining two parts of a row is not tried.",
    ),
    (
        "Inference",
        "Do the rows tell more of the people in training than of people never seen?",
        ("privacy.dcr_share",),
        "No single cell is guessed. What the rows tell of everybody alike, as any statistic does, is not counted.",
    ),
)


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
    counts: bool
    cannot: str = ""
    note: str = ""


def figure_text(value: float | None, unit: str) -> str:
    """Return a figure with its unit.

    Example:
        >>> figure_text(1.254, "%"), figure_text(0.5234, "AUC"), figure_text(None, "%"), figure_text(3.0, "count")
        ('1.25%', '0.523', '–', '3')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if unit == "count":
        return f"{value:,.0f}"
    return decimal_text(value) + ("%" if unit == "%" else "")


def readings(figures: Any) -> list[Reading]:
    """Return the figures ready to be shown.

    Args:
        figures: A ``Figures``, any mapping of figures, or an empty sequence.
    """
    found = figures.values() if isinstance(figures, Mapping) else figures
    return [_reading(figure) for figure in found]


def _reading(figure: Figure) -> Reading:
    verdict = _verdict(figure)
    unit = figure.unit
    tag = "not measured" if figure.value is None else _TAGS.get((figure.section, verdict), "not judged")
    interval = ""
    if figure.interval is not None:
        interval = f"{figure_text(figure.interval[0], unit)} to {figure_text(figure.interval[1], unit)}"
    return Reading(
        key=figure.name,
        section=figure.section,
        label=figure.title or figure.name,
        value=figure_text(figure.value, unit),
        interval=interval,
        holdout=figure_text(figure.holdout, unit),
        bootstrap=figure_text(figure.bootstrap, unit),
        perfect=figure_text(figure.perfect, unit),
        says=figure.note,
        n=f"{figure.n:,}",
        seed=figure.seed,
        strip=_strip(figure),
        verdict=verdict,
        reading=tag,
        sentence=_sentence(figure, interval),
        counts=figure.name not in _OTHER_FORMS,
    )


def _verdict(figure: Figure) -> Verdict:
    value = figure.value
    if value is None:
        return "unknown"
    reference = figure.perfect if figure.section == "privacy" and figure.perfect is not None else figure.holdout
    reference = figure.perfect if reference is None else reference
    if reference is None:
        return "unknown"
    low, high = figure.interval or _around(value, reference, figure.unit)
    side = _BAD_SIDE.get(figure.name) or {"lower": 1, "higher": -1, "target": 0}[figure.better]
    if side == 0:
        # Both sides are bad: as far from the target as the holdout is, either way, is still equal.
        target = figure.perfect if figure.perfect is not None else reference
        slack = abs(reference - target)
        return "worse" if low > target + slack or high < target - slack else "equal"
    if (side > 0 and low > reference) or (side < 0 and high < reference):
        return "worse"
    return "odd" if _is_too_close(figure) else "equal"


def _around(value: float, reference: float, unit: str) -> tuple[float, float]:
    slack = max(_TOLERANCE.get(unit, 0.0), _RELATIVE_TOLERANCE * abs(reference) if unit == "%" else 0.0)
    return value - slack, value + slack


def _is_too_close(figure: Figure) -> bool:
    """Whether the rows lie nearer to the training rows than rows drawn from these themselves."""
    value = figure.value or 0.0
    if figure.name == "fidelity.c2st":
        # Below 0.5 the trees take rows for the real ones that they learnt, as they do with copies.
        reference = min(0.5, 0.5 if figure.holdout is None else figure.holdout)
        bootstrap = reference - 0.15 if figure.bootstrap is None else figure.bootstrap
        return value < reference - _TOO_CLOSE * (reference - bootstrap)
    if figure.name in ("fidelity.shape", "fidelity.trend_shared") and figure.bootstrap is not None:
        return value < 0.6 * min(figure.bootstrap, figure.bootstrap if figure.holdout is None else figure.holdout)
    return False


def _sentence(figure: Figure, interval: str) -> str:
    title = figure.title or figure.name
    if figure.value is None:
        return f"{title}: not measured."
    parts = [figure_text(figure.value, figure.unit) + (f" (95% interval {interval})" if interval else "")]
    if figure.holdout is not None:
        parts.append(f"{figure_text(figure.holdout, figure.unit)} for real rows never seen")
    if figure.perfect is not None:
        words = "for a model trained on real rows" if figure.section == "utility" else "for a perfect generator"
        parts.append(f"{figure_text(figure.perfect, figure.unit)} {words}")
    return f"{title}: {', '.join(parts)}."


def _strip(figure: Figure) -> Chart | str:
    if figure.value is None:
        return ""
    marks = [figure.value, figure.holdout, figure.perfect, *(figure.interval or ())]
    known = [mark for mark in marks if mark is not None]
    low, high = min(known), max(known)
    if figure.unit in ("%", "count", "share", "AUC"):
        low = min(low, 0.5 if figure.unit == "AUC" else 0.0)
    widest = {"AUC": 0.1, "share": 0.1, "%": 1.0, "count": 1.0}.get(figure.unit, 0.05)
    high = max(high, low + widest)
    reference = figure.holdout if figure.holdout is not None else figure.perfect
    return dot_strip(figure.value, figure.interval, reference, (low, high), _sentence(figure, ""))


def sections(read: Sequence[Reading], *, has_holdout: bool, has_target: bool) -> list[dict[str, Any]]:
    """Return the sections of figures: their titles, what they can and cannot say, and their rows.

    Args:
        read: All readings.
        has_holdout: Whether real rows were held out.
        has_target: Whether the metadata names a column to predict.
    """
    need_holdout = "Not measured: this needs real rows that the generator never saw. Give a holdout."
    need_target = "Not measured: the metadata names no variable to predict."
    described = (
        (
            "fidelity",
            "Fidelity: do the rows look real?",
            (
                "Each figure stands beside the same figure for real rows that the generator never saw (holdout) and for the "
                "training rows drawn anew with replacement (bootstrap). A holdout does not reach 0 either: its value is the "
                "floor. Columns and pairs can look right while rows as a whole do not; the figure that sees whole rows is C2ST.",
            ),
            "Not measured.",
        ),
        (
            "utility",
            "Utility: does a model trained on them work on real rows?",
            (
                "Two models are trained, one on synthetic and one on real rows, and both are tested on real rows that neither saw. "
                "This speaks for this one question about this one column, not for other uses of the table.",
            ),
            need_target if has_holdout else need_holdout,
        ),
        (
            "privacy",
            "Privacy: what do the rows give away of the people in training?",
            (
                "Each figure is one known attack or distance. A bad value is a leak; a good value only says that this attack "
                "found none. Distances see copying on average and miss single people; membership inference is the figure to "
                "look at first, and its rate at 1% false alarms before its AUC, because a leak of few people hides in an average.",
            ),
            need_holdout if not has_holdout else "Not measured.",
        ),
    )
    return [
        {
            "anchor": anchor,
            "title": title,
            "words": words,
            "rows": [reading for reading in read if reading.section == anchor],
            "empty": empty,
            "risks": _risks(read) if anchor == "privacy" else [],
        }
        for anchor, title, words, empty in described
    ]


def _risks(read: Sequence[Reading]) -> list[tuple[str, str, str, str]]:
    """Return the regulators' three words, and which of the figures speaks to each."""
    by_key = {reading.key: reading for reading in read}
    rows = []
    for word, question, keys, cannot in _RISKS:
        spoken = [f"{by_key[key].label}: {by_key[key].reading}" for key in keys if key in by_key]
        rows.append((word, question, "; ".join(spoken) or "none was measured", cannot))
    return rows


def summary(
    read: Sequence[Reading],
    shown: Sequence[Marginal],
    worst_pairs: Sequence[tuple[str, str, float, float | None]],
    *,
    n_holdout: int,
    min_count: int,
) -> dict[str, Any]:
    """Return the headline and the findings, the worst first.

    Args:
        read: All readings.
        shown: The marginals, the worst first.
        worst_pairs: Names, error and holdout's error of the worst pairs.
        n_holdout: Real rows held out, 0 for none.
        min_count: Fewest real rows that the page shows.
    """
    counted = [reading for reading in read if reading.counts and reading.verdict != "unknown"]
    findings = [finding for section in _ORDER for finding in _bad(section, counted)]
    findings += _far_columns(shown)
    findings += _far_pairs(worst_pairs)
    equal = [reading for reading in counted if reading.verdict == "equal"]
    for section in _ORDER:
        labels = [reading.label for reading in equal if reading.section == section]
        if labels:
            sentence = "; ".join(labels) + "."
            findings.append({"verdict": "equal", "reading": _TAGS[section, "equal"], "sentence": sentence})
    return {
        "headline": _headline(counted, n_holdout > 0),
        "findings": findings,
        "remarks": _remarks(read, shown, n_holdout, min_count),
    }


def _bad(section: str, counted: Sequence[Reading]) -> list[dict[str, str]]:
    """Return what is worse, or too close, in a section: the leading figures each by itself, the others together."""
    findings = []
    for verdict in ("worse", "odd"):
        bad = [reading for reading in counted if reading.section == section and reading.verdict == verdict]
        leading = [reading for reading in bad if section == "privacy" or reading.key in _LEADING]
        findings += [
            {"verdict": verdict, "reading": reading.reading, "sentence": reading.sentence} for reading in leading
        ]
        others = [reading for reading in bad if reading not in leading]
        if others:
            sentence = ("Also: " if leading else "") + " ".join(reading.sentence for reading in others)
            findings.append({"verdict": verdict, "reading": others[0].reading, "sentence": sentence})
    return findings


def _headline(counted: Sequence[Reading], has_holdout: bool) -> str:
    if not counted:
        return "Nothing could be judged: no figure was measured against a real holdout."
    leaks = sum(reading.verdict == "worse" and reading.section == "privacy" for reading in counted)
    worse = sum(reading.verdict == "worse" and reading.section != "privacy" for reading in counted)
    odd = sum(reading.verdict == "odd" for reading in counted)
    n_privacy = sum(reading.section == "privacy" for reading in counted)
    parts = []
    if n_privacy:
        found = (
            f"{leaks} of {n_privacy} privacy figures find a leak"
            if leaks
            else f"None of {n_privacy} privacy figures finds a leak"
        )
        parts.append(found + ".")
    others = len(counted) - n_privacy
    if others:
        parts.append(
            f"{worse or 'None'} of {others} other figures {'is' if worse in (0, 1) else 'are'} worse than for real rows."
        )
    if odd:
        parts.append(f"{odd} {'lies' if odd == 1 else 'lie'} closer to the training rows than fresh rows would.")
    if not has_holdout:
        parts.append("Without a holdout, privacy and utility could not be judged at all.")
    return " ".join(parts)


def _far_columns(shown: Sequence[Marginal]) -> list[dict[str, str]]:
    far = [
        marginal
        for marginal in shown
        if not math.isnan(marginal.error) and marginal.error > 1.5 * (marginal.holdout_error or 0.0) + 0.01
    ]
    if not far:
        return []
    named = [
        f"{marginal.title} ({percent_text(marginal.error)}"
        + ("" if marginal.holdout_error is None else f", holdout {percent_text(marginal.holdout_error)}")
        + ")"
        for marginal in far
    ]
    sentence = f"{len(far)} of {len(shown)} columns differ from real; the worst: {listed(named, most=5)}."
    return [{"verdict": "worse", "reading": "worst columns", "sentence": sentence}]


def _far_pairs(worst_pairs: Sequence[tuple[str, str, float, float | None]]) -> list[dict[str, str]]:
    far = [pair for pair in worst_pairs if pair[2] > 1.5 * (pair[3] or 0.0) + 0.02]
    if not far:
        return []
    named = [
        f"{first} with {second} ({percent_text(error)}{'' if floor is None else f', holdout {percent_text(floor)}'})"
        for first, second, error, floor in far[:4]
    ]
    return [{"verdict": "worse", "reading": "worst pairs", "sentence": f"{listed(named, most=4)}."}]


def _remarks(read: Sequence[Reading], shown: Sequence[Marginal], n_holdout: int, min_count: int) -> list[str]:
    remarks = []
    if 0 < n_holdout < _FEW_HOLDOUT_ROWS:
        remarks.append(
            f"The holdout has {n_holdout:,} rows. With so few, an attack must succeed often before it is told from chance: "
            "no leak found means little, and the intervals say how little."
        )
    if not n_holdout:
        remarks.append(
            "No real holdout was given. Every error on this page then lacks its yardstick: a fresh sample of real rows would not score 0 either."
        )
    lost = sum(marginal.n_lost for marginal in shown)
    if lost:
        total = sum(marginal.n_categories for marginal in shown)
        remarks.append(
            f"{lost:,} of {total:,} real categories {'does' if lost == 1 else 'do'} not appear in the synthetic rows."
        )
    suppressed = sum(marginal.n_suppressed for marginal in shown)
    if suppressed:
        remarks.append(f"{suppressed:,} values that fewer than {min_count} real rows hold are not named on this page.")
    unmeasured = [reading.label for reading in read if reading.verdict == "unknown"]
    if unmeasured:
        remarks.append(f"Not judged, because not measured or without a yardstick: {listed(unmeasured, most=6)}.")
    return remarks
