"""The first screen of a report: three questions, each answered in plain words by the figures, or said to be open.

Every answer is held against what real rows score that nobody learnt. Worse is what ``readings`` calls worse; the further
limits between the words stand here alone, and in ``docs/report.md``, which the tests hold to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from clover_tvae.evaluation.fidelity import WEAK
from clover_tvae.evaluation.figures import Figure
from clover_tvae.report.formatting import decimal_text, listed, printable, shortened
from clover_tvae.report.readings import GOOD_LOSS, Reading, finds_leak

FAIR_C2ST = 0.1  # above the AUC of real rows: told apart, but seldom
FAIR_ERROR = 1.5  # times the error of real rows, or ...
FAIR_POINTS = 1.0  # ... so many points of a percentage above it
FAIR_LOSS = 0.1  # of AUC or R2, lost against models that learnt real rows

#: The figures that say how like the rows are, and what is further off where one of them is worse than for real rows.
LIKENESS = {
    "fidelity.c2st_heldout": "",
    "fidelity.shape_heldout": "single columns",
    "fidelity.trend_heldout": "pairs of columns",
    "fidelity.relations_broken": "what holds between columns in every real row",
}

# How an attack that finds something exposes the people who were learnt, by the beginning of the figure's key.
_EXPOSED = {
    "privacy.copies": "whole rows of theirs stand in the table, more often than chance has it",
    "privacy.copied_rare": "rare rows of theirs stand in the table",
    "privacy.identifiers": "their identifiers stand in the table",
    "privacy.membership": "who holds a person's row can tell that it was learnt",
    "privacy.file": "who holds a person's row and the generator file can tell that it was learnt",
    "privacy.shadow": "who holds a person's row and can train such a generator can tell that it was learnt",
    "privacy.attribute": "what is not known of them is guessed better than for strangers",
}

Grade = Literal["good", "fair", "bad", "open"]
_MARKS: Mapping[Grade, str] = {"good": "✓", "fair": "≈", "bad": "✗", "open": "?"}
_OPEN = "Cannot be said"


@dataclass(frozen=True)
class Answer:
    """One question of the first screen, and what the figures answer.

    Args:
        question: In plain words.
        grade: ``good``, ``fair``, ``bad``, or ``open`` where nothing can be said.
        word: The answer in a word or two.
        sentence: The answer in one or two sentences.
        readings: The figures behind it.
        anchor: The section of the page that has more.
    """

    question: str
    grade: Grade
    word: str
    sentence: str
    readings: tuple[Reading, ...]
    anchor: str

    @property
    def mark(self) -> str:
        """A sign for the grade that needs no colour."""
        return _MARKS[self.grade]


def answers(
    figures: Any, read: Sequence[Reading], *, has_fresh: bool, is_learnt: bool = True, target: Any = None
) -> list[Answer]:
    """Answer the three questions.

    Args:
        figures: A ``Figures``, any mapping of figures, or an empty sequence.
        has_fresh: Whether rows were kept back.
        is_learnt: Whether the real rows beside them are those that the generator learnt.
        target: The column that is predicted, where one is named.

    Example:
        >>> [answer.word for answer in answers((), (), has_fresh=False)]
        ['Cannot be said', 'Cannot be said', 'Cannot be said']
    """
    by_key = {figure.name: figure for figure in (figures.values() if isinstance(figures, Mapping) else figures)}
    without = "" if has_fresh else "without rows kept back: real rows that were never learnt."
    likeness = tuple(reading for reading in read if reading.key in LIKENESS and reading.verdict != "unknown")
    usefulness = tuple(reading for reading in read if reading.section == "utility")
    attacks = tuple(reading for reading in read if reading.section == "privacy" and reading.counts)
    is_found = finds_leak(read)
    attack = by_key.get("privacy.membership_auc")
    if attack is not None and attack.value is None and not is_found:
        without = without or (f"where {attack.why_unmeasured}" if attack.why_unmeasured else "")
    if not is_learnt:
        without = "without the rows that were learnt: they are what an attacker looks for."
    found = [
        Answer("Is it like the real table?", *_likeness(by_key, likeness, has_fresh), likeness, "fidelity"),
        Answer("Is it useful?", *_usefulness(by_key, usefulness, has_fresh, target), usefulness, "utility"),
        Answer("Whom could it expose?", *_exposed(attacks, without), attacks, "privacy"),
    ]
    why = getattr(figures, "weak_holdout", "")
    weak = f" {WEAK}: {why}." if why else ""
    return [one if one.grade == "open" else replace(one, sentence=one.sentence + weak) for one in found]


def _open(why: str) -> tuple[Grade, str, str]:
    return "open", _OPEN, f"{_OPEN} {why}"


def _likeness(by_key: Mapping[str, Figure], read: Sequence[Reading], has_fresh: bool) -> tuple[Grade, str, str]:
    c2st = by_key.get("fidelity.c2st_heldout")
    if not has_fresh:
        return _open("without rows kept back: real rows that were never learnt.")
    if c2st is None or c2st.value is None:
        why = c2st.why_unmeasured if c2st is not None else ""
        return _open(f"where {why}" if why else "from so few rows.")
    worse = [reading for reading in read if reading.verdict == "worse"]
    told = f"Of a real and a synthetic row, a program picks the synthetic one {_of_100(c2st.value)} times in 100"
    told += (
        f" (of two real rows {_of_100(c2st.holdout)}; guessing: 50)." if c2st.holdout is not None else "; guessing: 50."
    )
    if not worse:
        return "good", "Yes", f"{told} Columns and pairs of columns are as near as those of other real rows."
    if words := [LIKENESS[reading.key] for reading in worse if LIKENESS[reading.key]]:
        told += f" Further off than in other real rows: {listed(words)}."
    is_fair = all(_is_fair(by_key[reading.key]) for reading in worse)
    return ("fair", "Nearly", told) if is_fair else ("bad", "No", told)


def _of_100(auc: float) -> str:
    return f"{100 * auc:.0f}"


def _is_fair(figure: Figure) -> bool:
    """Whether a figure that is worse than that of real rows is so by little."""
    floor, value = figure.holdout or 0.0, figure.value or 0.0
    return value <= (floor + FAIR_C2ST if figure.unit == "AUC" else max(floor * FAIR_ERROR, floor + FAIR_POINTS))


def _usefulness(
    by_key: Mapping[str, Figure], read: Sequence[Reading], has_fresh: bool, target: Any
) -> tuple[Grade, str, str]:
    loss = by_key.get("utility.loss")
    if not has_fresh:
        return _open("without rows kept back: real rows to try a model on.")
    if loss is not None and loss.why_unmeasured:
        return _open(f"where {loss.why_unmeasured}")
    if loss is None or loss.value is None:
        return _open("as no column could be predicted, not even by models that learnt real rows.")
    best, what = max(0.0, loss.value), "the columns tried, in the median,"
    if target is not None:
        what = shortened(printable(target))
    learnt = f"Models that learnt these rows predict {what} for real people"
    if best <= GOOD_LOSS:
        alike = f"as well as models that learnt real rows, within {decimal_text(GOOD_LOSS, 1)} of AUC or R²"
        scores = [reading.verdict for reading in read if reading.key != "utility.loss" and reading.verdict != "unknown"]
        worse = scores.count("worse")
        also = f" By {worse} of the {len(scores)} scores below they are worse." if worse else ""
        return "good", "Yes", f"{learnt} {alike}.{also}"
    told = f"{learnt} worse than models that learnt real rows, by {decimal_text(best, 2)} of AUC or R²."
    return ("fair", "In part", told) if best <= FAIR_LOSS else ("bad", "Hardly", told)


def _exposed(attacks: Sequence[Reading], without: str) -> tuple[Grade, str, str]:
    if without or not attacks:
        return _open(without or "from so few rows.")
    found = [reading.key for reading in attacks if reading.verdict == "worse"]
    if not found:
        told = f"None of {len(attacks)} tests of known attacks finds anybody. That is no proof: other attacks may."
        return "good", "Nobody found", told
    ways = dict.fromkeys(way for key in found for start, way in _EXPOSED.items() if key.startswith(start))
    people = "unusual people" if all("outliers" in key or "rare" in key for key in found) else "people"
    told = f"{len(found)} of {len(attacks)} tests of known attacks find a leak, of {people} who were learnt: {'; '.join(ways)}."
    return "bad", "Leak found", told
