"""``fit``, ``impute`` and ``inspect``: generators at the command line; ``sample`` has a room of its own."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from clover_tvae.cli.console import (
    Address,
    Debug,
    Device,
    EngineName,
    Expect,
    Quiet,
    Seed,
    command,
    note,
    progress,
    progress_wanted,
    say,
    say_json,
    seeded,
    training_told,
)
from clover_tvae.cli.files import (
    Force,
    FromDatabase,
    MetadataFile,
    Missing,
    Read,
    Table,
    check_targets,
    read,
    read_described,
    refuse_marks,
    require_files,
    with_copies,
)
from clover_tvae.cli.sampling import SAMPLE_EXAMPLES, sample
from clover_tvae.errors import ArtifactError, CloverWarning, ConfigError, collected_warnings
from clover_tvae.errors import warn as warn_of
from clover_tvae.files import write_text

if TYPE_CHECKING:
    from clover_tvae.metadata import Metadata

_FIT_EXAMPLES = """\
Examples:

  clover-tvae fit patients.csv --metadata patients.json -o patients.pkl

  clover-tvae fit patients.csv --metadata infer -o patients.pkl --epochs 200 --random-state 42

  clover-tvae fit sklearn.breast_cancer --metadata infer -o patients.pkl --decoder independent

  clover-tvae fit clinic.patients --database HOSPITAL_DB --metadata patients.json -o patients.pkl

  clover-tvae fit visits/ --metadata visits.json -o visits.pkl --checkpoint visits.ckpt --resume

  clover-tvae fit visits/ --metadata visits.json -o visits.pkl --checkpoint visits.ckpt --engine ray --workers 4
"""
_IMPUTE_EXAMPLE = "Example:  clover-tvae impute employees.pkl with_gaps.csv -o filled.csv --seed 1"
_INSPECT_EXAMPLES = """\
Examples:

  clover-tvae inspect employees.pkl

  clover-tvae inspect employees.pkl --card employees.md
"""

Generator = Annotated[
    Path, typer.Argument(metavar="GENERATOR.pkl", help="A generator file, or the URL of one.", show_default=False)
]


class _OfParameters(TyperCommand):
    """A command some of whose options are parameters of the synthesizer: what they mean is said in ``Parameters`` alone."""

    def get_params(self, ctx: Any) -> list[Any]:
        from clover_tvae.parameters import Parameters

        params = super().get_params(ctx)
        for param in params:
            if (field := Parameters.model_fields.get(str(param.name))) is not None:
                param.help = field.description  # type: ignore[attr-defined]
        return params


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(cls=_OfParameters, epilog=_FIT_EXAMPLES, rich_help_panel="Generators")(fit)
    app.command(epilog=SAMPLE_EXAMPLES, rich_help_panel="Generators")(sample)
    app.command(epilog=_IMPUTE_EXAMPLE, rich_help_panel="Generators")(impute)
    app.command(epilog=_INSPECT_EXAMPLES, rich_help_panel="Generators")(inspect)


@command
def fit(
    table: Table,
    metadata: MetadataFile,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="GENERATOR.pkl", help="The generator file, or the URL of one.")
    ],
    missing: Missing = None,
    how: Read = None,
    database: FromDatabase = None,
    random_state: Annotated[int | None, typer.Option("--random-state", "--seed")] = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    max_minutes: float | None = None,
    decoder: str | None = None,
    backend: str | None = None,
    device: Device = None,
    min_count: int | None = None,
    privacy: str | None = None,
    decode: str | None = None,
    exact_values: Annotated[bool | None, typer.Option("--exact-values")] = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    loss_factor: float | None = None,
    gradient_clip: float | None = None,
    validation_fraction: float | None = None,
    patience: int | None = None,
    precision: str | None = None,
    embedding_dim: int | None = None,
    compress_dims: Annotated[list[int] | None, typer.Option(metavar="WIDTH")] = None,
    decompress_dims: Annotated[list[int] | None, typer.Option(metavar="WIDTH")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A file, mode 0600 and as sensitive as the table, that says every 20 seconds where the training stands; "
            "it is removed at the end. Native backend only."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint, if it is there.")] = False,
    engine: EngineName = "local",
    address: Address = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="With --engine ray: so many workers learn the table together, a core or a GPU each."),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Learn a table and write the generator file.

    What is left out has the default of the decoder, and depends on the size of the table. Widths of several layers are given one
    by one: --compress-dims 256 --compress-dims 128. Parameters of SDV's backend alone are set in a YAML job: see the command run.
    """
    of_all = locals()
    from clover_tvae.parameters import Parameters

    given = {name: None if of_all[name] == [] else of_all[name] for name in Parameters.model_fields if name in of_all}
    try:
        parameters = Parameters.of(**given).given()
    except ConfigError as error:
        options = [replace(problem, where=f"--{problem.where.replace('_', '-')}") for problem in error.problems]
        raise ConfigError(options) from None
    from clover_tvae.tables.places import Copies

    copies = Copies()
    # Where a fit was killed after its file was written, and before its checkpoint was removed, that file is its own.
    force = force or (resume and checkpoint is not None and checkpoint.exists())
    check_targets({copies.target(output, force=force): ".pkl"}, force=force)
    require_files(metadata, table if database is None else None)
    what: dict[str, Any] = {
        "table": table, "metadata": metadata, "missing": missing, "how": how, "database": database, "parameters": parameters,
        "output": output, "checkpoint": checkpoint, "resume": resume,
    }  # fmt: skip
    try:
        if engine == "local" and workers is None and address is None:
            notes, sha256 = _learnt(**what, quiet=quiet)
        else:
            notes, sha256 = _learnt_together(engine, address, workers, what, quiet)
    except (KeyboardInterrupt, ArtifactError):  # the file cannot be written, say
        if checkpoint is not None:
            note(f"checkpoint {_left_in(checkpoint)}", quiet)
        raise
    for text in notes:
        note(text, quiet)
    say(f"generator {output}")
    say(f"sha256    {sha256}")


def _left_in(checkpoint: Path) -> str:
    """Say what a fit that was ended has left in its checkpoint."""
    from clover_tvae.training import Checkpoint

    if not checkpoint.exists():
        return f"{checkpoint} was not written yet: the same command begins anew"
    with contextlib.suppress(ConfigError):
        if not Checkpoint(checkpoint, resume=True).is_begun:
            return f"{checkpoint} is kept, and holds no training yet: the same command with --resume begins anew"
    return f"{checkpoint} is kept: the same command with --resume goes on from it"


def _learnt(
    table: str, metadata: str, missing: list[str] | None, how: list[str] | None, database: str | None,
    parameters: dict[str, Any], output: str, checkpoint: Path | None, resume: bool, quiet: bool,
) -> tuple[list[str], str]:  # fmt: skip
    """Learn a table and write the generator; return what is to be noted, and the digest."""
    from clover_tvae.synthesizer import Synthesizer
    from clover_tvae.tables import is_large
    from clover_tvae.tables.places import Copies
    from clover_tvae.workflows.timed import timed

    copies = Copies()
    table, metadata, target = copies.here(table), copies.here(metadata), copies.target(output)
    described: Metadata | str | None
    if database is None and is_large(table):
        refuse_marks("a folder of Parquet files", missing, how)
        described, df, size = None if metadata == "infer" else metadata, Path(table), table
    else:
        described, (df,) = read_described(metadata, missing, how, table, quiet=quiet, database=database)
        size = f"{len(df):,} rows x {len(df.columns)} columns"
    progress(f"learning {size} ...", quiet)
    with training_told(quiet), timed("learnt", lambda text: progress(text, quiet)):
        synth = Synthesizer(df, described, verbose=progress_wanted(quiet), **parameters)
        synth.generator_filepath = target
        synth.fit(checkpoint=checkpoint, resume=resume)
    copies.put(target)
    copies.close()
    card = synth.card()
    cut = ", stopped by --max-minutes before it converged" if card["training"]["stopped"] == "minutes" else ""
    told = [f"epochs    {len(synth.history)}{cut}", f"privacy   {card['privacy']['meaning']}"]
    return [synth.metadata.relations_told, *told], card["sha256"]


def _learnt_together(
    engine: str, address: str | None, workers: int | None, what: dict[str, Any], quiet: bool
) -> tuple[list[str], str]:
    """Have the workers of a cluster learn a table together: the seed, paths and parameters travel, and what is to be said."""
    from clover_tvae.tables.places import is_url
    from clover_tvae.workflows.engines import Ray, make_engine

    cluster = make_engine(engine, address=address, n_workers=workers, shows_output=False)
    if not isinstance(cluster, Ray):
        raise ConfigError("belongs to --engine ray: here a training takes the cores that it can use", "--workers")
    if what["resume"] and what["checkpoint"] is None:
        raise ConfigError("needs a checkpoint, the file to go on from", "resume")
    if what["parameters"].get("backend") == "sdv":
        raise ConfigError("must be native where several workers learn a table together", "--backend")
    if what["database"] is not None:
        text = "has each worker read the table, in one order: write the table to a Parquet file"
        raise ConfigError(text, "--engine ray")
    if what["checkpoint"] is not None:
        from clover_tvae.training import Checkpoint

        Checkpoint(what["checkpoint"], resume=what["resume"])  # refused as without a cluster
    # Workers have working folders of their own; each time they begin anew they go on from the checkpoint.
    given = {name: what[name] for name in ("output", "checkpoint")}
    paths = {name: Path(path).absolute() for name, path in given.items() if path and not is_url(path)}
    files = {name: str(Path(what[name]).absolute()) for name in ("table", "metadata") if Path(what[name]).exists()}
    seed = {"random_state": secrets.randbelow(2**32), **what["parameters"]}
    what = what | paths | files | {"parameters": seed, "resume": what["checkpoint"] is not None}
    gpu = str(seed.get("device", "cpu")).startswith("cuda")
    progress(f"learning {what['table']} in {workers or 1} workers ...", quiet)
    notes, sha256, warnings = cluster.together(_learnt_by_worker, what, gpu=gpu)
    for text in warnings:
        warn_of(text, CloverWarning)
    return notes, sha256


def _learnt_by_worker(what: dict[str, Any]) -> tuple[list[str], str, list[str]]:
    from clover_tvae.training import Workers

    warnings: list[str] = []
    with collected_warnings(warnings):
        notes, sha256 = _learnt(**what, quiet=not Workers().is_first)
    return notes, sha256, warnings


@command
@with_copies
def impute(
    generator: Generator,
    table: Table,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="A .csv, .tsv, .parquet, .feather or .xlsx file; CSV is written as it was read."
        ),
    ],
    seed: Seed = None,
    missing: Missing = None,
    how: Read = None,
    device: Device = None,
    expect_sha256: Expect = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fill the missing cells of a table with draws, given the rest of their rows; all else stays as it is."""
    from clover_tvae.synthesizer import Synthesizer
    from clover_tvae.tables import WRITTEN, write_table

    check_targets({output: WRITTEN}, force=force)
    require_files(generator, table)
    synth = Synthesizer.load(generator, expected_sha256=expect_sha256, device="cpu" if device is None else device)
    df, dialect = read(table, synth.metadata, missing, how, quiet=quiet)
    filled: Any = synth.impute(df, random_state=seeded(seed, quiet))
    write_table(filled, output, dialect)
    n_filled = int(synth.metadata.read(df).isna().sum().sum() - filled.isna().sum().sum())
    say(f"rows      {output} ({n_filled:,} cells filled)")


@command
@with_copies
def inspect(
    generator: Generator,
    card: Annotated[
        Path | None,
        typer.Option(metavar="CARD.md", help="Write the model card as Markdown, and as JSON beside it."),
    ] = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
    expect_sha256: Expect = None,
    debug: Debug = False,
) -> None:
    """Tell what a generator learnt, on what, and its digest. Nothing of the file is run."""
    from clover_tvae.backends import card_of_file
    from clover_tvae.evaluation.disclosure import card_to_show
    from clover_tvae.report import card_groups, card_json, card_markdown

    require_files(generator)
    facts = card_to_show(card_of_file(generator, expect_sha256))
    if card is not None:
        check_targets({card: (".md", ".json"), card.with_suffix(".json"): ".json"}, force=force)
        written = {card.with_suffix(".json"): card_json(facts)}
        if card.suffix.lower() == ".md":
            written = {card: card_markdown(facts)} | written
        for path, text in written.items():
            write_text(path, text, mode=0o644)
            say(f"card      {path}")
    elif as_json:
        say_json(facts)
    else:
        for title, rows in card_groups(facts):
            say(title, "bold")
            for name, text in rows:
                say(f"  {name:<26} {text}")
