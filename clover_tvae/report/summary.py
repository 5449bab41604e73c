"""The summary of a report: a headline, the findings with the worst first, remarks, and which figures speak to which risk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clover_tvae.evaluation.fidelity import NO_HOLDOUT
from clover_tvae.report.answers import LIKENESS
from clover_tvae.report.distributions import Marginal
from clover_tvae.report.formatting import listed, percent_text
from clover_tvae.report.readings import LIKE_REAL, Reading

_LEADING = {*LIKENESS, "utility.loss"}

# The three risks of Opinion 05/2014 of the European data protection authorities (WP 216): what each asks, what the attacker
# who was tried holds, the figures that speak to it, and what these cannot say.
_RISKS = (
    (
        "Singling out",
        "Does a row point at one person?",
        "The released rows.",
        (
            *(f"privacy.{key}" for key in ("copies", "copied_rare", "identifiers")),
            *(f"privacy.membership_{key}_outliers" for key in ("auc", "tpr10")),
        ),
        "They look at whole rows: a few cells that single a person out are not looked for.",
    ),
    (
        "Linkage",
        "Can who holds a person's row tell that the person was in the training rows?",
        "The person's whole row, a sample of other people, and the released rows; or the generator file; or (shadow models) "
        "the program that made it.",
        tuple(f"privacy.{attack}_{key}" for attack in ("membership", "file", "shadow") for key in ("auc", "tpr1")),
        "The attacker is taken to hold the whole row; joining two parts of a row is not tried.",
    ),
    (
        "Inference",
        "Do the rows tell more of the people in training than of people never seen?",
        "All cells of the person's row but one, and the released rows.",
        ("privacy.attribute_gain",),
        "One cell is guessed from all others. What the rows tell of everybody alike, as any statistic does, is not counted.",
    ),
)


def summary(
    read: Sequence[Reading],
    shown: Sequence[Marginal],
    worst_pairs: Sequence[tuple[str, str, float, float | None]],
    *,
    n_holdout: int,
    min_count: int,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the headline, the findings, the worst first, and the remarks.

    Args:
        worst_pairs: Names, error and holdout's error of the worst pairs.
    """
    counted = [reading for reading in read if reading.counts]
    close = [reading for reading in read if reading.verdict == "odd"]
    findings = [finding for section in LIKE_REAL for finding in _bad(section, [*counted, *close])]
    if far_columns := _far([(marginal.title, marginal.error, marginal.holdout_error) for marginal in shown], 0.01):
        sentence = f"{len(far_columns)} of {len(shown)} columns differ from real; the worst: {listed(far_columns)}."
        findings.append(("worse", "worst columns", sentence))
    pairs = [(f"{first} with {second}", error, floor) for first, second, error, floor in worst_pairs]
    if far_pairs := _far(pairs, 0.02):
        findings.append(("worse", "worst pairs", f"{listed(far_pairs[:4])}."))
    for section, words in LIKE_REAL.items():
        equal = [reading.label for reading in counted if (reading.section, reading.verdict) == (section, "equal")]
        if equal:
            findings.append(("equal", words, "; ".join(equal) + "."))
    remarks = [*dict.fromkeys([*(() if n_holdout else (NO_HOLDOUT,)), *notes]), *_remarks(read, shown, min_count)]
    return {"headline": _headline(counted, len(close), n_holdout > 0), "findings": findings, "remarks": remarks}


def _bad(section: str, counted: Sequence[Reading]) -> list[tuple[str, str, str]]:
    """Return what is worse, or too close, in a section: the leading figures each by itself, the others together."""
    findings = []
    for verdict in ("worse", "odd"):
        bad = [reading for reading in counted if (reading.section, reading.verdict) == (section, verdict)]
        leading = [reading for reading in bad if section == "privacy" or reading.key in _LEADING]
        findings += [(verdict, reading.reading, reading.sentence) for reading in leading]
        if others := [reading for reading in bad if reading not in leading]:
            sentence = ("Also: " if leading else "") + " ".join(reading.sentence for reading in others)
            findings.append((verdict, others[0].reading, sentence))
    return findings


def _far(errors: Sequence[tuple[str, float, float | None]], slack: float) -> list[str]:
    """Return name and error of what is clearly further from the real rows than the holdout is."""
    return [
        f"{name} ({percent_text(error)}{'' if floor is None else f', holdout {percent_text(floor)}'})"
        for name, error, floor in errors
        if error > 1.5 * (floor or 0.0) + slack
    ]


def _headline(counted: Sequence[Reading], odd: int, has_holdout: bool) -> str:
    if not counted and not odd:
        return "Nothing could be judged: no figure was measured against a real holdout."
    privacy = [reading for reading in counted if reading.section == "privacy"]
    others = [reading for reading in counted if reading.section != "privacy"]
    leaks, worse = (sum(reading.verdict == "worse" for reading in part) for part in (privacy, others))
    parts = []
    if privacy:
        parts.append(f"{leaks or 'None'} of {len(privacy)} privacy figures {'find' if leaks else 'finds'} a leak.")
    if others:
        verb = "is" if worse in (0, 1) else "are"
        parts.append(
            f"{worse or 'None'} of {len(others)} {'other ' if privacy else ''}figures {verb} worse than for real rows."
        )
    if odd:
        parts.append(f"{odd} {'lies' if odd == 1 else 'lie'} closer to the training rows than fresh rows would.")
    if not has_holdout:
        parts.append("Without a holdout nothing can be judged but closeness to what was learnt.")
    return " ".join(parts)


def _remarks(read: Sequence[Reading], shown: Sequence[Marginal], min_count: int) -> list[str]:
    lost, suppressed, total = (
        sum(getattr(marginal, count) for marginal in shown) for count in ("n_lost", "n_suppressed", "n_categories")
    )
    unmeasured = [reading.label for reading in read if reading.verdict == "unknown"]
    remarks = {
        f"{lost:,} of {total:,} real categories {'does' if lost == 1 else 'do'} not appear in the synthetic rows.": lost,
        f"{suppressed:,} values that fewer than {min_count} real rows hold are not named on this page.": suppressed,
        f"Not judged, because not measured or without a yardstick: {listed(unmeasured, most=6)}.": unmeasured,
    }
    return [words for words, holds in remarks.items() if holds]


def risks(read: Sequence[Reading]) -> list[tuple[str, str, str, str, str]]:
    """Return the regulators' three words: what each asks, what the attacker holds, what was found, what it cannot say."""
    by_key = {reading.key: reading for reading in read}
    rows = []
    for word, question, holds, keys, cannot in _RISKS:
        spoken = [f"{by_key[key].label}: {by_key[key].reading}" for key in keys if key in by_key]
        rows.append((word, question, holds, "; ".join(spoken) or "none was measured", cannot))
    return rows
