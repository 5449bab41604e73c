"""``evaluate`` and ``compare``: how good synthetic rows are, at the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from clover_tvae.cli.console import Debug, Quiet, command, note, progress_wanted, say, say_table, warn
from clover_tvae.cli.files import (
    Force,
    MetadataFile,
    Missing,
    Read,
    Table,
    check_targets,
    read_described,
    require_files,
    with_copies,
)
from clover_tvae.errors import ConfigError, LimitExceededError, Problem
from clover_tvae.files import write_text

_EVALUATE_EXAMPLES = """\
Examples:

  clover-tvae evaluate --real train.csv --holdout test.csv --synthetic rows.csv --metadata patients.json -o report.html

  clover-tvae evaluate --real train.csv --holdout test.csv --synthetic rows.csv -m patients.json --limits limits.yaml

  clover-tvae evaluate --real train.csv --holdout test.csv --synthetic rows.csv -m patients.json --generator patients.pkl \\
    --dossier dossier.html --about about.yaml

A file of limits:  privacy.membership_auc: {max: 0.55}   and so on; a limit that is passed, or a figure that could not be
measured, exits with 6.
"""
_COMPARE_EXAMPLES = """\
Examples:

  clover-tvae compare employees.csv --metadata employees.json -o compare.html

  clover-tvae compare sklearn.breast_cancer --metadata infer --backends autoregressive,sdv -o compare.html
"""
_SHOWN = (
    "fidelity.c2st_heldout",
    "fidelity.shape_heldout",
    "fidelity.trend_heldout",
    "fidelity.relations_broken",
    "fidelity.rare_frequency",
    "utility.loss",
    "privacy.copies",
    "privacy.copied_rare",
    "privacy.identifiers",
    "privacy.membership_auc",
    "privacy.membership_tpr1",
    "privacy.attribute_gain",
)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=_EVALUATE_EXAMPLES, rich_help_panel="Evaluation")(evaluate)
    app.command(epilog=_COMPARE_EXAMPLES, rich_help_panel="Evaluation")(compare)


@command
@with_copies
def evaluate(
    real: Annotated[str, typer.Option(metavar="TABLE", help="The rows that the generator learnt.")],
    synthetic: Annotated[str, typer.Option(metavar="TABLE", help="The synthetic rows.")],
    metadata: MetadataFile,
    holdout: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Real rows that the generator never saw; privacy needs them."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="REPORT.html", help="Write the report.")
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", metavar="FIGURES.json", help="Write the figures.")] = None,
    limits: Annotated[
        Path | None, typer.Option(metavar="LIMITS.yaml", help="Bounds of figures; exit code 6 beyond one.")
    ] = None,
    generator: Annotated[
        Path | None,
        typer.Option(metavar="GENERATOR.pkl", help="Show its card, learning curves and latent space."),
    ] = None,
    shadow_models: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=4,
            help="Attack the training itself: K fits on half tables. Needs --generator, and K times its training.",
        ),
    ] = None,
    dossier: Annotated[
        Path | None,
        typer.Option(
            metavar="DOSSIER.html",
            help="Write what a privacy officer signs, and the same as JSON beside it. Needs --holdout.",
        ),
    ] = None,
    about: Annotated[
        Path | None,
        typer.Option(metavar="ABOUT.yaml", help="Fields of the dossier: purpose, controller, recipients..."),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Take hours: a network of the ordinary size learns the rows, a dossier trains anew."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw of the evaluation.")] = 0,
    min_count: Annotated[
        int | None,
        typer.Option(min=1, help="Fewest real rows that any part of the report or the figures may show."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title of the report.")] = None,
    missing: Missing = None,
    read: Read = None,
    trust_pickle: Annotated[bool, typer.Option("--trust-pickle", help="Open a generator of the sdv backend.")] = False,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure synthetic rows, from anywhere, against real ones: fidelity, utility, privacy.

    Passing is no proof of anonymity.
    """
    from clover_tvae.evaluation.limits import check_limits, passed_limits
    from clover_tvae.jobs.read import load_limits

    if dossier is not None and holdout is None:
        raise ConfigError("needs --holdout: without people who were not learnt nothing can be judged", "--dossier")
    if shadow_models is not None and generator is None:
        raise ConfigError("needs --generator: what it was trained with is trained again", "--shadow-models")
    beside = None if dossier is None else dossier.with_suffix(".json")
    check_targets({output: ".html", json_path: ".json", dossier: ".html", beside: ".json"}, force=force)
    require_files(metadata, real, synthetic, holdout, limits, generator, about)
    said = {} if about is None else _read_about(about)
    bounds = None if limits is None else load_limits(limits)

    described, (known, drawn, held) = read_described(metadata, missing, read, real, synthetic, holdout, quiet=quiet)
    if holdout is None:
        warn("no --holdout: nothing can be judged but closeness to what was learnt")

    from clover_tvae.evaluation import measure
    from clover_tvae.workflows.timed import timed

    def tell(text: str) -> None:
        note(text, quiet)

    options: dict[str, Any] = {"seed": seed} | ({} if min_count is None else {"min_count": min_count})
    synth, learnt_more = None, ""
    if generator is not None:
        from clover_tvae.synthesizer import Synthesizer
        from clover_tvae.workflows.assessment import as_learnt

        synth = Synthesizer.load(generator, trust_pickle=trust_pickle)
        learnt_more = synth.learnt_more(known)
        known, drawn, held = (None if df is None else as_learnt(synth, df) for df in (known, drawn, held))
    scorers = None
    if held is not None:
        from clover_tvae.workflows.attackers import attackers

        scorers = attackers(drawn, described, synth, full=full, seed=seed)
    tell(f"measuring {len(drawn):,} synthetic rows ...")
    with timed("measured", tell):
        figures = measure(known, drawn, held, described, scorers=scorers, learnt_holdout=learnt_more, **options)
    if shadow_models is not None and synth is not None:
        from clover_tvae.workflows.assessment import attack_with_shadow_models

        with timed(f"trained {shadow_models} shadow models", tell):
            figures = figures | attack_with_shadow_models(synth, known, held, n_models=shadow_models, seed=seed)
    if output is not None:
        from clover_tvae.report import about_generator, write_report

        with timed("wrote the report", tell):
            more = {} if title is None else {"title": title}
            more |= {} if synth is None else about_generator(synth, known, drawn)
            write_report(output, known, drawn, holdout=held, metadata=described, figures=figures, **more, **options)
    if dossier is not None:
        from clover_tvae.workflows.assessment import dossier_of

        with timed("wrote the dossier", tell):
            told: dict[str, Any] = {"figures": figures, "about": said, "full": full, **options}
            dossier_of(synth, known, drawn, held, described, **told).save(dossier)
    if json_path is not None:
        write_text(json_path, json.dumps(figures.to_plain(), indent=2, default=str), mode=0o644)
    for why in figures.notes if holdout is not None else ():
        warn(why)
    if not quiet:
        _say_figures(figures)
    for what, path in (("report", output), ("dossier", dossier), ("figures", json_path)):
        if path is not None:
            say(f"{what:<9} {path}")
    if bounds is not None:
        if breaches := check_limits(figures, bounds):
            raise LimitExceededError(passed_limits([str(breach) for breach in breaches]))
        say(f"limits    {len(bounds)} figure(s) within their limits; this is no proof of anonymity")


@command
@with_copies
def compare(
    table: Table,
    metadata: MetadataFile,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="COMPARE.html", help="Write the page.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="COMPARE.json", help="Write everything measured.")
    ] = None,
    backends: Annotated[
        str, typer.Option(metavar="NAME,...", help="Which generators.")
    ] = "autoregressive,independent,sdv",
    holdout: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Real rows to hold out, instead of a part.")
    ] = None,
    holdout_fraction: Annotated[float, typer.Option(help="Share of the rows to hold out.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", "--random-state", min=0, help="Seed of everything.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of all generators. [default: each its own]")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Minutes of training each, at most; SDV's TVAE knows no such limit.")
    ] = None,
    missing: Missing = None,
    read: Read = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train several generators on the same rows and compare them: fidelity, utility, privacy, time, learned sigmas."""
    check_targets({output: ".html", json_path: ".json"}, force=force)
    require_files(metadata, table, holdout)

    from clover_tvae.workflows.comparison import compare_generators

    described, (df, held) = read_described(metadata, missing, read, table, holdout, quiet=quiet)
    parameters = {"epochs": epochs, "max_minutes": max_minutes}
    comparison = compare_generators(
        df,
        described,
        generators=[name.strip() for name in backends.split(",")],
        holdout=held,
        holdout_fraction=holdout_fraction,
        seed=seed,
        parameters={key: value for key, value in parameters.items() if value is not None},
        verbose=progress_wanted(quiet),
        tell=lambda text: note(text, quiet),
    )
    _say_comparison(comparison.results)
    if output is not None:
        from clover_tvae.report import write_comparison

        title = f"{Path(table).name}: comparison of generators"
        write_comparison(output, comparison.results, facts={"Table": Path(table).name, **comparison.facts}, title=title)
        say(f"page      {output}")
    if json_path is not None:
        write_text(json_path, json.dumps(comparison.to_plain(), indent=2, default=str), mode=0o644)
        say(f"figures   {json_path}")
    failed = [result["name"] for result in comparison.results if "error" in result]
    if len(failed) == len(comparison.results):
        raise ConfigError([Problem(name, "gave no rows; see above") for name in failed])


def _read_about(path: Path) -> Mapping[str, Any]:
    """Read the fields of a dossier."""
    from clover_tvae.jobs.yaml_file import read_yaml
    from clover_tvae.report.dossier import check_about

    node, problems = read_yaml(path)
    if node is None or problems:
        raise ConfigError(problems)
    said = node.plain()
    if not isinstance(said, dict):
        raise ConfigError(f"must be a mapping of fields, found {type(said).__name__}", str(path))
    check_about(said)
    return said


def _say_figures(figures: Any) -> None:
    from clover_tvae.report import readings

    rows: list[list[object]] = []
    for row in readings(figures):
        value = row.value + (f" ({row.interval})" if row.interval else "")
        rows.append([row.key, value, row.holdout, row.perfect, row.reading])
    say_table(["figure", "synthetic", "real holdout", "perfect", "reading"], rows)


def _say_comparison(results: Sequence[Mapping[str, Any]]) -> None:
    from clover_tvae.report.comparison_page import comparison_rows, cost_rows, learned_sigmas, what_was_learnt

    by_name = {result["name"]: result.get("figures") or {} for result in results}
    rows: list[list[object]] = [
        [row["key"], *(cell["text"] for cell in row["cells"]), row["holdout"]]
        for section in ("fidelity", "utility", "privacy")
        for row in comparison_rows(by_name, section)
        if row["key"] in _SHOWN
    ]
    rows += [[*costs, ""] for costs in cost_rows(results)]
    say_table(["", *by_name, "real holdout"], rows)
    if learnt := what_was_learnt(results):
        say()
        say_table(["", "what it learnt"], [[*pair] for pair in zip(by_name, learnt, strict=True)])
    measured = [figures for result in results if (figures := result.get("figures")) is not None]
    for why in dict.fromkeys(text for figures in measured for text in figures.notes):
        warn(why)
    if any(result.get("figures") and result["figures"]["privacy.dcr_share"].value is None for result in results):
        note("--holdout-fraction sets how many rows are held out")
    sigmas = learned_sigmas(results)
    if sigmas["rows"]:
        say()
        say_table(["learned sigma of", *sigmas["head"][1:]], [list(row) for row in sigmas["rows"]])
