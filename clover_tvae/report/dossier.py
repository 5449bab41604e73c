"""The dossier: what a privacy officer signs, or does not, before rows or a generator file leave the house.

Under the three words of the European guidelines (singling out, linkage, inference) it says what was tried, with which
attacker in mind, and what was found, beside what guessing and rows of nobody give; one verdict for the rows, one for the file.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.frames import takes_frames
from clover_tvae.errors import ConfigError, Problem, did_you_mean
from clover_tvae.evaluation.catalogue import OF_GENERATOR
from clover_tvae.evaluation.copies import without_learnt_holdout
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.figures import Figure, Figures
from clover_tvae.evaluation.frames import CodedTables, code_tables, resolve_metadata
from clover_tvae.evaluation.measurement import measure
from clover_tvae.evaluation.privacy import attack_on_nobody
from clover_tvae.evaluation.subgroups import subgroup_fidelity
from clover_tvae.files import write_text
from clover_tvae.parameters import MIN_COUNT, cut_short, unguarded
from clover_tvae.report.formatting import decimal_text, listed, percent_text, printable, real_share_text
from clover_tvae.report.html_document import framed, render
from clover_tvae.report.model_card import NO_PROOF, beside_leak, membership_checked, plain_text, strict_json
from clover_tvae.report.readings import figure_text, finds_leak, leaks, readings
from clover_tvae.report.summary import risks
from clover_tvae.version import __version__

#: What a person fills in: the field, and what it asks.
ABOUT: Mapping[str, str] = {
    "purpose": "What the rows are for",
    "controller": "Controller",
    "recipients": "Who receives them",
    "legal_basis": "Legal basis",
    "retention": "Until when they are kept",
    "threat_model": "Who might attack, and what they hold",
    "assessed_by": "Assessed by",
    "review_date": "To be reviewed on",
    "subgroups": "Subgroups whose fidelity is told",
}
ASKED_AGAIN = (
    "These figures are measured on the people themselves. Asked again and again, for rows of the asker's choice, they give "
    "people away (arXiv 2312.05114): outsiders get this page, never the measuring, and no second page for rows that differ "
    "in a few."
)
_REPEATED = (
    "fidelity.c2st_heldout",
    "fidelity.shape_heldout",
    "fidelity.trend_heldout",
    "utility.loss",
    "privacy.copied_rare",
    "privacy.membership_auc",
    "privacy.membership_tpr1",
    "privacy.membership_auc_outliers",
    "privacy.attribute_gain",
)
_GUARDS = ("meaning", "membership_check", "min_count", "exact_values", "backend", "sha256")


@dataclass(frozen=True)
class Dossier:
    """A finished dossier.

    Args:
        content: Titled tables of texts, free of real rows and small counts.
        figures: What was measured of the released rows.
    """

    content: Mapping[str, Any]
    figures: Figures

    def html(self) -> str:
        """Return the page, one file without scripts of its own.

        Raises:
            MissingExtraError: jinja2 is not installed.
        """
        return render("dossier.html.j2", self.content)

    def to_json(self) -> str:
        """Return the same as JSON, with the figures."""
        head = {"format": "clover-tvae-dossier", "format_version": 1}
        return strict_json({**head, **self.content, "figures": self.figures.to_plain()})

    def __repr__(self) -> str:
        return f"Dossier({len(self.content['sections'])} sections)"

    def _repr_html_(self) -> str:
        return framed(self.html(), self.content["title"])

    def save(self, path: str | Path) -> None:
        """Write the page and, beside it, the JSON."""
        write_text(path, self.html())
        write_text(Path(path).with_suffix(".json"), self.to_json())


def check_about(about: Mapping[str, Any]) -> None:
    """Refuse fields that a dossier does not have, and such as are no text.

    Raises:
        ConfigError: All of them at once.
    """
    wrong = {
        name: f"must be text, found {type(value).__name__}"
        if name in ABOUT
        else f"must be a field of the dossier{did_you_mean(name, ABOUT)}; known: {', '.join(ABOUT)}"
        for name, value in about.items()
        if name not in ABOUT or not isinstance(value, str)
    }
    ConfigError.raise_any([Problem(f"about.{name}", text) for name, text in wrong.items()])


@takes_frames
def build_dossier(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame,
    metadata: Any = None,
    *,
    figures: Figures | None = None,
    about: Mapping[str, Any] | None = None,
    card: Mapping[str, Any] | None = None,
    draws: Iterable[pd.DataFrame | Figures] = (),
    refits: Iterable[pd.DataFrame | Figures] = (),
    made: str = "given as a table; how they were drawn is not known.",
    learnt_holdout: str = "",
    seed: int = 0,
    min_count: int = MIN_COUNT,
) -> Dossier:
    """Measure what a privacy officer asks, and lay it out.

    Args:
        real: The rows that the generator was trained on.
        synthetic: The rows that are to leave.
        holdout: Real rows that the generator never saw.
        metadata: A ``Metadata``, Clover's dict, the path of one, or ``None``: kinds by dtype.
        figures: Figures already computed, with the attacks on the file and by shadow models if they are wanted.
        about: What a person fills in, see ``ABOUT``; ``subgroups`` is a column (default: the one to predict).
        card: The generator's card; without it the file is not judged.
        draws: Further tables of the generator, as large as ``synthetic``, or their figures: the figures' spread.
        refits: Tables, as large, of generators trained anew on ``real`` in the same way: the spread of the training.
        made: Which rows the synthetic ones are, and how they were drawn.
        learnt_holdout: As ``evaluation.measure`` takes it.
        min_count: Fewest real people that anything shown may rest on.

    Raises:
        ConfigError: An unknown field, or subgroups of no column of categories.
        DataError: The tables do not fit each other.
    """
    about = dict(about or {})
    check_about(about)
    metadata = resolve_metadata(metadata)
    tables = code_tables({"real": real, "synthetic": synthetic, "holdout": holdout}, metadata)
    disclosure = Disclosure.of(min_count, tables)
    target = about.get("subgroups") or getattr(metadata, "variable_to_predict", None)
    groups = []
    is_fresh = not without_learnt_holdout(tables, learnt_holdout).learnt_holdout
    if is_fresh and (about.get("subgroups") or target in tables.category_names):
        groups = [_groups(subgroup_fidelity(tables, target, disclosure, seed=seed), target, disclosure)]
    options: dict[str, Any] = {"seed": seed, "min_count": min_count, "learnt_holdout": learnt_holdout}
    figures = measure(real, synthetic, holdout, metadata, **options) if figures is None else figures
    others = {"Table after table": draws, "Training after training": refits}
    repeated = {
        title: [
            figures,
            *(one if isinstance(one, Figures) else measure(real, one, holdout, metadata, **options) for one in found),
        ]
        for title, found in others.items()
    }
    repeated = {title: found for title, found in repeated.items() if len(found) > 1}
    if card is not None and (finds_leak(readings(figures)) or any(map(leaks, repeated.values()))):
        card = beside_leak(card)
    fields = {**about, "subgroups": "none" if target is None else target}
    sections = [
        _section(
            "Who, what for, until when",
            "Filled in by people; the rest is measured.",
            ("field", "said"),
            [(asks, fields.get(name) or "(to be filled in)") for name, asks in ABOUT.items()],
        ),
        _verdicts(figures, card, repeated),
        _measured(tables, figures, made),
        _section(
            "Singling out, linkage, inference",
            "Tried by the program, automatically.",
            ("risk", "what it asks", "what the attacker holds", "what was tried, and found", "what it cannot say"),
            risks(readings(figures)),
        ),
        _membership(figures, tables, seed),
    ]
    if "attribute" in figures.tables:
        sections.append(_attributes(figures, disclosure))
    sections += [*(_spread(title, found) for title, found in repeated.items()), *groups, _guards(card)]
    cut = cut_short(card or {})
    notes = [*([f"The {cut}."] if cut else []), *figures.notes, ASKED_AGAIN, NO_PROOF]
    content = {"title": "Privacy dossier", "tool": f"clover_tvae {__version__}", "sections": sections, "notes": notes}
    return Dossier(content, figures)


def _section(title: str, words: str, head: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> dict[str, Any]:
    shown = [[cell if isinstance(cell, str) else printable(cell) for cell in row] for row in rows]
    return {"title": title, "words": words, "head": list(head), "rows": shown}


def _verdicts(
    figures: Figures, card: Mapping[str, Any] | None, repeated: Mapping[str, Sequence[Figures]]
) -> dict[str, Any]:
    read = [reading for reading in readings(figures) if reading.section == "privacy" and reading.counts]
    of_file = [reading for reading in read if reading.key.startswith(OF_GENERATOR)]
    of_rows = [reading for reading in read if reading not in of_file]
    attack = figures.get("privacy.membership_auc")
    is_open = attack is not None and bool(attack.why_unmeasured) and not finds_leak(of_rows)
    of_rows = [] if is_open else of_rows  # as the answers at the top of a report: the other tests alone are too little

    def verdict(tried: list[Any], kinds: tuple[str, ...]) -> str:
        if leaks := [reading.label for reading in tried if reading.verdict == "worse"]:
            return f"LEAK FOUND: {listed(leaks)}."
        if tried:
            return f"No leak found by {len(tried)} tests; no proof that there is none."
        why = next((w for key, figure in figures.items() if key.startswith(kinds) and (w := figure.why_unmeasured)), "")
        return f"Not judged: {why}" if why else "Not judged."

    of_tables = [f"{title}: {told}" for title, found in repeated.items() if (told := _leaks_told(found)[1])]
    of_tables = [told for told in of_tables if "LEAK FOUND" in told or not is_open]
    of_all = [verdict(of_rows, ("privacy.membership_",)), *of_tables]
    rows = " ".join(sorted(of_all, key=lambda text: "LEAK FOUND" not in text))  # what is found comes first
    found = verdict(of_file, (*OF_GENERATOR, "privacy.membership_"))
    file = f"{found} No generator was given: it must not leave."
    if card is not None:
        guarded = (card.get("privacy") or {}).get("mode") == "student"
        file = found + ("" if guarded else " Learnt from people directly, it is as sensitive as the data.")
        asked = unguarded(card.get("parameters") or {})
        checked = membership_checked(card)
        file += "".join(f" {text[0].upper()}{text[1:]}." for text in (asked, checked) if text)
    words = "The file holds more than any rows. The tests are corrected for their number (Holm, 5%)."
    return _section("Verdicts", words, ("what leaves", "verdict"), [("The rows", rows), ("The file", file)])


def _measured(tables: CodedTables, figures: Figures, made: str) -> dict[str, Any]:
    def people(role: str) -> str:
        table = tables[role]
        of = ", each a person" if table.people is None else f" of {table.n_people:,} people"
        return f"{table.n_rows:,} rows{of}"

    attacked = figures["privacy.copies"].n if "privacy.copies" in figures else tables["synthetic"].n_rows
    rows = [
        ("learnt", people("real")),
        ("held out", people("holdout")),
        ("synthetic rows attacked", f"{attacked:,}"),
        ("synthetic rows held against real ones for likeness", f"{tables['synthetic'].n_rows:,}"),
        ("which rows these are", made),
    ]
    return _section("What was measured", "Every figure rests on these rows.", ("what", "how many"), rows)


def _membership(figures: Figures, tables: Any, seed: int) -> dict[str, Any]:
    def texts(auc: float, low: float, high: float, *shares: float) -> tuple[str, ...]:
        return decimal_text(auc), f"{decimal_text(low)} to {decimal_text(high)}", *map(percent_text, shares)

    rows: list[tuple[str, ...]] = [("guess the share of members", "0.500", "", "1.0%", "10.0%")]
    if "membership" in figures.tables and (nobody := attack_on_nobody(tables, seed=seed)):
        auc, *shares = nobody["chosen"].told
        rows.append(("held-out people as if learnt", *texts(auc, *nobody["chosen"].intervals[0], *shares)))
    for kind, of in (("membership", "rows"), ("file", "file"), ("shadow", "shadow models")):
        for row in figures.tables.get(kind, pd.DataFrame()).to_dict("records"):
            found = (row[name] for name in ("auc", "auc_low", "auc_high", "tpr1", "tpr10"))
            rows.append((f"{of}, {row['group']}: {row['attack']}", *texts(*found)))
    head = ("attack", "AUC", "95% interval", "found at 1% false alarms", "at 10%")
    words = (
        "Who was learnt? 'chosen' is the attack that does best on other people, and the one that is judged. A dash: not "
        "measured, as 1% of false alarms needs 100 others, and 10% ten."
    )
    return _section("Membership", words, head, rows)


def _attributes(figures: Figures, disclosure: Disclosure) -> dict[str, Any]:
    rows = []
    for row in figures.tables["attribute"].to_dict("records"):
        members, others = row["members"], row["others"]
        texts = [real_share_text(row[name], disclosure) for name in ("members", "others", "naive")]
        ratio = decimal_text(members / others if others else np.nan)
        rows.append((row["column"], *texts, percent_text(members - others).replace("–", "withheld"), ratio))
    head = ("secret column", "right for members", "for others", "naming the usual value", "lead", "ratio")
    words = "The secret cell is taken from the synthetic row that is nearest in all other columns."
    return _section("Attribute disclosure", words, head, rows)


def _spread(title: str, tables: list[Figures]) -> dict[str, Any]:
    rows = []
    for key in _REPEATED:
        known = [figures[key] for figures in tables if key in figures and figures[key].value is not None]
        values = np.array([figure.value for figure in known], dtype=float)
        if len(values):
            texts = (figure_text(float(value), known[0].unit) for value in (values.mean(), values.std(), values.max()))
            rows.append((known[0].title, *texts, len(values)))
    words = f"The rows that leave, and {len(tables) - 1} more tables made in the same way. {_leaks_told(tables)[0]}"
    return _section(title, words, ("figure", "mean", "spread", "worst", "tables"), rows)


def _leaks_told(tables: Sequence[Figures]) -> tuple[str, str]:
    """Say in how many tables a leak of rows is found, for their section, and what that means, for the verdict."""

    def names(found: Iterable[Figure]) -> list[str]:
        return list(dict.fromkeys(figure.title for figure in found))

    if not any(figure.p is not None for table in tables for figure in table.values()):
        return "No leak could be looked for.", ""
    by_itself = [names(leaks([table])) for table in tables]
    n, n_by_itself = len(tables), sum(map(bool, by_itself))
    left = leaks(tables)
    n_left = sum(any(figure is one for figure in left for one in table.values()) for table in tables)
    section = (
        f"Each table read by itself, a leak is found in {n_by_itself} of {n} (where there is none, in one of 20); corrected "
        f"for the number of tables and of their figures, in {n_left}."
    )
    if left:
        return section, f"LEAK FOUND in {n_left} of {n} tables: {listed(names(left))}."
    if n_by_itself:
        which = listed(list(dict.fromkeys(name for found in by_itself for name in found)))
        told = f"{n_by_itself} of {n} tables, each read by itself, would show a leak ({which})"
        return section, f"{told}; corrected for the number of tables and figures, none is left."
    return section, f"no leak found in {n} tables."


def _groups(found: pd.DataFrame, target: Hashable, disclosure: Disclosure) -> dict[str, Any]:
    rows = [
        (
            row["group"],
            real_share_text(row["learnt"], disclosure),
            percent_text(row["synthetic"]),
            f"{percent_text(row['shape'])} ({percent_text(row['shape_learnt'])})",
            f"{decimal_text(row['c2st'])} ({decimal_text(row['c2st_learnt'])})",
        )
        for row in found.to_dict("records")
    ]
    head = ("group", "of learnt rows", "of synthetic rows", "Shape error (learnt rows')", "C2ST (learnt rows')")
    words = f"Against the held-out rows of each group; groups of under {disclosure.min_count} real rows are not told."
    return _section(f"Subgroups of {printable(target)}", words, head, rows)


def _guards(card: Mapping[str, Any] | None) -> dict[str, Any]:
    card = card or {}
    told = {**(card.get("parameters") or {}), **(card.get("privacy") or {}), **card}
    rows = [(name, plain_text(told[name])) for name in _GUARDS if name in told and not isinstance(told[name], Mapping)]
    words = "From the generator's card." if card else "No generator was given: its guards are not known."
    return _section("Guards in force", words, ("guard", "set to"), rows)
