"""The report: one HTML file on one synthetic table, for a reader who has five minutes and a decision to make.

It takes DataFrames and plain dicts, so that it reads anyone's synthetic rows. What may be shown of the real rows is
decided by ``evaluation.disclosure`` alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from clover_tvae.columns.frames import takes_frames
from clover_tvae.columns.people import drawn_people, people_of
from clover_tvae.errors import CloverWarning, warn
from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.fidelity import fidelity
from clover_tvae.evaluation.frames import CodedTables, code_tables, resolve_metadata
from clover_tvae.evaluation.measurement import measure
from clover_tvae.evaluation.membership import file_scorers
from clover_tvae.evaluation.utility import utility
from clover_tvae.files import write_text
from clover_tvae.parameters import MIN_COUNT, cut_short
from clover_tvae.report.answers import answers
from clover_tvae.report.column_section import column_card, column_tables
from clover_tvae.report.distributions import Marginal, marginals
from clover_tvae.report.dossier import ASKED_AGAIN
from clover_tvae.report.formatting import count_text, listed, printable, shortened
from clover_tvae.report.html_document import framed, render
from clover_tvae.report.learning_curves import learning_curves
from clover_tvae.report.model_card import beside_leak, card_groups, membership_checked, strict_json
from clover_tvae.report.pair_section import PairTrends, broken_relations
from clover_tvae.report.readings import CLOSENESS, finds_leak, readings
from clover_tvae.report.space_section import space_section
from clover_tvae.report.summary import risks, summary
from clover_tvae.seeds import Measure, generator, of_measure

DEFAULT_TITLE = "Synthetic data report"

_N_OPEN = 24  # cards of columns that are open at first
_ROLES = (("real", "real training"), ("synthetic", "synthetic"), ("holdout", "real holdout"))
_FRESH_ROLES = (("real", "fresh real"), ("synthetic", "synthetic"), ("holdout", "further fresh real"))


@dataclass(frozen=True)
class Report:
    """A finished report.

    Args:
        figures: The evaluation's figures, or ``None`` where none could be had.
        marginals: What may be shown of every column, the worst first.
        content: All that the template shows, already free of real rows and small cells.
    """

    title: str
    figures: Any
    marginals: tuple[Marginal, ...]
    content: Mapping[str, Any]

    def __repr__(self) -> str:
        said = "; ".join(f"{answer.question} {answer.word}" for answer in self.content["answers"])
        return f"Report({self.title!r}: {said})"

    def _repr_html_(self) -> str:
        return framed(self.html(), self.title)

    def html(self) -> str:
        """Return the page.

        Raises:
            MissingExtraError: jinja2 is not installed.
        """
        return render("report.html.j2", self.content)

    def save(self, path: str | Path) -> None:
        """Write the page as one file, atomically.

        Raises:
            TableFileError: The file cannot be written; an older one stands.
            MissingExtraError: jinja2 is not installed.
        """
        write_text(path, self.html())

    def to_json(self) -> str:
        """Return the figures and the errors of columns and pairs as JSON; no value of the data is in it."""
        content = {
            "title": self.title,
            "figures": None if self.figures is None else self.figures.to_plain(),
            "columns": [
                {
                    "name": marginal.title,
                    "kind": marginal.kind,
                    "shape_error": marginal.error,
                    "holdout_shape_error": marginal.holdout_error,
                    "categories": marginal.n_categories,
                    "suppressed_categories": marginal.n_suppressed,
                }
                for marginal in self.marginals
            ],
        }
        return strict_json(content)


@takes_frames
def write_report(path: str | Path, real: pd.DataFrame, synthetic: pd.DataFrame, **options: Any) -> Report:
    """Build a report, write it as an HTML file, and return it; the arguments are those of ``build_report``."""
    report = build_report(real, synthetic, **options)
    report.save(path)
    return report


@takes_frames
def report_on(
    synth: Any, real: pd.DataFrame | None = None, holdout: pd.DataFrame | None = None, *, seed: int = 0, **options: Any
) -> Report:
    """Draw as many rows as there are real ones and report on them.

    Rows that were never learnt are enough to say whether the rows are like real ones, and useful: one half of them is held
    against the other, which says what fresh real rows score. Whom the rows could expose needs the learnt rows, too.

    Args:
        synth: A fitted ``TVAESynthesizer``, or whatever has its ``sample``, ``reads_rows``, ``encode``, ``told_apart``,
            ``learnt_more``, ``anomaly_scores``, ``card``, ``history`` and ``metadata``.
        real: The rows that it learnt. Where these are the only table, and by their number or columns, or by cells that the
            generator does not know, not those, they are taken for ``holdout``: fresh rows of the same number are not told apart.
        seed: Seed of the rows and of the figures.
        **options: Further arguments of ``build_report``: ``figures``, ``min_count``, ``title``.

    Raises:
        DataError: The tables do not fit the generator.
        MissingExtraError: A package of the extra ``report`` is not installed.
    """
    texts = [] if real is None else synth.told_apart(real)
    if real is None or (texts and holdout is None):
        return _report_on_fresh(synth, holdout if real is None else real, texts, seed=seed, **options)
    synthetic = synth.sample(len(real), random_state=seed)
    about = about_generator(synth, real, synthetic)
    about["learnt_holdout"] = synth.learnt_more(real)
    if synth.reads_rows:
        about["scorers"] = file_scorers(synth.anomaly_scores)
    if holdout is None:
        about["notes"] = (
            "The real rows are taken for those that were learnt; if they never were, say so: report(holdout=rows).",
        )
    if texts:
        text = f"The rows given as those of the training are not those that the generator learnt: {'; '.join(texts)}."
        warn(text, CloverWarning)
        about["notes"] = (text,)
    about |= options
    return build_report(real, synthetic, holdout, synth.metadata, seed=seed, **about)


def _report_on_fresh(synth: Any, fresh: Any, texts: Sequence[str], *, seed: int, **options: Any) -> Report:
    """Report on rows that were never learnt: one half stands where the learnt rows would, the other is the yardstick."""
    metadata, rng = synth.metadata, generator(of_measure(seed, Measure.UTILITY))
    is_apart = drawn_people(people_of(fresh, metadata.unit), len(fresh), len(fresh) // 2, rng)
    real, apart = (fresh[rows].reset_index(drop=True) for rows in (~is_apart, is_apart))
    synthetic = synth.sample(len(real), random_state=seed)
    about = about_generator(synth, real, synthetic) | options
    asked: dict[str, Any] = {"seed": seed, "min_count": about["min_count"]}
    figures = fidelity(real, synthetic, apart, metadata, **asked) | utility(real, synthetic, apart, metadata, **asked)
    of_fresh = {key: figure for key, figure in figures.items() if key not in CLOSENESS}
    note = (
        "The real rows are taken for rows that the generator never learnt; if it did learn them, this page flatters it."
    )
    if texts:
        note = f"The rows given are not those of the training ({'; '.join(texts)}). {note}"
    given = {"figures": replace(figures, figures=of_fresh), "notes": (note,), **about}
    return build_report(real, synthetic, apart, metadata, seed=seed, is_learnt=False, **given)


def about_generator(synth: Any, real: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, Any]:
    """Return the arguments of ``build_report`` that show the generator itself: card, history, latent means if it reads rows.

    The page withholds what rests on fewer people than the generator's own ``min_count``.
    """
    about: dict[str, Any] = {"card": synth.card(), "history": synth.history}
    about["min_count"] = about["card"].get("parameters", {}).get("min_count", MIN_COUNT)
    if synth.reads_rows:  # the sdv backend keeps no encoder: the table's own space is drawn then
        about |= {"latent_real": synth.encode(real), "latent_synthetic": synth.encode(synthetic)}
    return about


@takes_frames
def build_report(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame | None = None,
    metadata: Any = None,
    *,
    history: Any = None,
    card: Mapping[str, Any] | None = None,
    latent_real: Any = None,
    latent_synthetic: Any = None,
    figures: Any = None,
    scorers: Any = None,
    learnt_holdout: str = "",
    seed: int = 0,
    min_count: int = MIN_COUNT,
    title: str = DEFAULT_TITLE,
    notes: Sequence[str] = (),
    made: str = "",
    is_learnt: bool = True,
) -> Report:
    """Compare a synthetic table with the real one and lay the result out as a page.

    Args:
        real: The rows that the generator was trained on.
        holdout: Real rows that the generator never saw; without them privacy and utility cannot be judged.
        metadata: A ``Metadata``, Clover's dict, the path of one, or ``None``: kinds by dtype.
        history: The learning curves: a DataFrame or a list of dicts, one row an epoch.
        card: The model card as a plain dict, as ``TVAESynthesizer.card()`` returns it.
        latent_real: Latent means of the real rows, in their order; without them the table's own space is drawn.
        latent_synthetic: Latent means of the synthetic rows.
        figures: Figures already computed; ``None`` computes them, which takes most of the time.
        scorers: Further attacks for them, as ``evaluation.measure`` takes them.
        learnt_holdout: Why the holdout may have been learnt, as it takes it.
        seed: Seed of the figures and of every draw.
        min_count: Fewest real rows that any part of the page may show.
        notes: What else stands at the top of the page.
        made: Which rows the synthetic ones are, and how they were drawn.
        is_learnt: Whether the generator learnt ``real``; otherwise privacy cannot be judged, and ``figures`` holds none of it.

    Raises:
        DataError: The tables do not fit each other; with every problem.
        MetadataError: ``metadata`` is wrong.
        ConfigError: ``min_count`` is no whole number of at least 1.

    Example:
        >>> import pandas as pd
        >>> real = pd.DataFrame({"age": range(20, 80), "sex": ["F", "M"] * 30})
        >>> report = build_report(real, real.sample(40, random_state=1), figures=())
        >>> "no proof of anonymity" in report.html()
        True
    """
    metadata = resolve_metadata(metadata)
    tables = code_tables({"real": real, "synthetic": synthetic, "holdout": holdout}, metadata)
    disclosure = Disclosure.of(min_count, tables)
    if figures is None:
        how: dict[str, Any] = {"scorers": scorers, "learnt_holdout": learnt_holdout, "seed": seed}
        figures = measure(real, synthetic, holdout, metadata, min_count=min_count, **how)
    shown = marginals(tables, metadata, disclosure)
    pairs = PairTrends.of(tables, disclosure, figures)
    target = None if metadata is None else metadata.variable_to_predict
    read = readings(figures)
    if card is not None and finds_leak(read):
        card = beside_leak(card)
    n_holdout, checked, cut = 0 if holdout is None else len(holdout), membership_checked(card), cut_short(card or {})
    of_card = [*([f"The {cut}."] if cut else []), *([f"The generator file: {checked}."] if checked else [])]
    roles = _ROLES if is_learnt else _FRESH_ROLES
    rows = [f"{count_text(tables[role].n_rows)} {words}" for role, words in roles if role in tables.tables]
    content = {
        "title": printable(title),
        "subtitle": f"{listed(rows)} rows, {len(tables.names)} columns compared, seed of the evaluation {seed}."
        + (f" The synthetic rows are {printable(made)}" if made else ""),
        "answers": answers(figures, read, has_fresh=n_holdout > 0, is_learnt=is_learnt, target=target),
        "summary": summary(
            read,
            shown,
            pairs.worst(),
            n_holdout=n_holdout,
            min_count=disclosure.min_count,
            notes=(*notes, *getattr(figures, "notes", ()), *of_card),
        ),
        "facts": _facts(tables, card, target, roles),
        "card_groups": card_groups(card),
        "training": learning_curves(history),
        "columns": [column_card(marginal, disclosure) for marginal in shown],
        "n_open": _N_OPEN,
        "pairs": pairs.content(),
        "relations": broken_relations(figures, disclosure),
        "tables": column_tables(shown, disclosure),
        "min_count": disclosure.min_count,
        "rounding": disclosure.step,
        "space": space_section(tables, target, latent_real, latent_synthetic, disclosure),
        "readings": read,
        "asked_again": ASKED_AGAIN,
        "risks": risks(read),
        "n_holdout": n_holdout,
        "is_learnt": is_learnt,
        "left_out": ", ".join(printable(name) for name in real.columns if name not in tables.names),
    }
    return Report(printable(title), figures if hasattr(figures, "to_plain") else None, tuple(shown), content)


def _facts(
    tables: CodedTables, card: Mapping[str, Any] | None, target: Hashable | None, roles: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    facts = [
        (f"{words.capitalize()} rows", count_text(tables[role].n_rows) if role in tables.tables else "none")
        for role, words in roles
    ]
    facts += [("Numbers and dates", str(len(tables.number_names))), ("Categories", str(len(tables.category_names)))]
    if target is not None:
        facts.append(("Column to predict", shortened(printable(target))))
    if card is not None:
        seed = card.get("seed", card.get("random_state"))
        facts.append(("Seed of the training", "none: not repeatable" if seed is None else shortened(printable(seed))))
    return facts
