"""``fit``, ``sample``, ``impute`` and ``inspect``: generators at the command line."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clover_tvae.cli.console import (
    Address,
    Debug,
    EngineName,
    Quiet,
    command,
    note,
    progress,
    progress_wanted,
    say,
    say_json,
    training_told,
)
from clover_tvae.cli.files import (
    Force,
    FromDatabase,
    MetadataFile,
    Missing,
    Read,
    Table,
    check_rows_target,
    check_targets,
    read,
    read_described,
    refuse_marks,
    require_files,
)
from clover_tvae.errors import ConfigError
from clover_tvae.files import file_digest, write_text
from clover_tvae.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.metadata import Metadata
    from clover_tvae.synthesizer import Synthesizer

__all__ = ["add_to"]

_FIT_EXAMPLES = """\
Examples:

  clover-tvae fit patients.csv --metadata patients.json -o patients.pkl

  clover-tvae fit patients.csv --metadata infer -o patients.pkl --epochs 200 --random-state 42

  clover-tvae fit sklearn.breast_cancer --metadata infer -o patients.pkl --decoder independent

  clover-tvae fit clinic.patients --database HOSPITAL_DB --metadata patients.json -o patients.pkl

  clover-tvae fit visits/ --metadata visits.json -o visits.pkl --checkpoint visits.ckpt --resume
"""
_SAMPLE_EXAMPLES = """\
Examples:

  clover-tvae sample employees.pkl --rows 1000 -o employees.csv --seed 1

  clover-tvae sample employees.pkl --rows 500 -o women.csv --where gender=F --where "salary>=50000"

  clover-tvae sample employees.pkl --rows 10000000 -o parts/ --rows-per-part 500000 --seed 1 --resume

  clover-tvae sample employees.pkl --rows 1000000000 -o parts/ --format parquet --rows-per-part 1000000 --seed 1 --engine ray --resume

  clover-tvae sample employees.pkl --rows 10000000 -o parts/ --seed 1 --shard-index "$SLURM_ARRAY_TASK_ID" --num-shards 16

  clover-tvae sample employees.pkl --rows 100 -o - | gzip > employees.csv.gz

Conditions: COLUMN=VALUE, COLUMN=A|B (any of them), COLUMN= (missing), COLUMN!= (not missing), !=, <, <=, >, >=.
"""
_IMPUTE_EXAMPLE = "Example:  clover-tvae impute employees.pkl with_gaps.csv -o filled.csv --seed 1"
_INSPECT_EXAMPLES = """\
Examples:

  clover-tvae inspect employees.pkl

  clover-tvae inspect employees.pkl --card employees.md
"""

Generator = Annotated[Path, typer.Argument(metavar="GENERATOR.pkl", help="A generator file.", show_default=False)]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Seed of the draws; without one every run draws others.")
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust-pickle", help="Open a generator of the sdv backend, which can run code. Only if you know its writer."
    ),
]
Expect = Annotated[
    str | None, typer.Option("--expect-sha256", metavar="HEX", help="Refuse the file unless it has this digest.")
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="Where to compute: cpu (default), cuda, cuda:N, mps, or auto for the best at hand."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=_FIT_EXAMPLES, rich_help_panel="Generators")(fit)
    app.command(epilog=_SAMPLE_EXAMPLES, rich_help_panel="Generators")(sample)
    app.command(epilog=_IMPUTE_EXAMPLE, rich_help_panel="Generators")(impute)
    app.command(epilog=_INSPECT_EXAMPLES, rich_help_panel="Generators")(inspect)


@command
def fit(
    table: Table,
    metadata: MetadataFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="GENERATOR.pkl", help="The generator file.")],
    missing: Missing = None,
    how: Read = None,
    database: FromDatabase = None,
    random_state: Annotated[
        int | None,
        typer.Option(
            "--random-state",
            "--seed",
            help="A seed from 0 to 2^64 - 1: training and sampling then give the same result in every process; left out, one is drawn.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the rows: exactly that many, unless patience or max_minutes ends training sooner; left out, it finds its own length."
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a training step.")] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            help="Minutes of training by the clock, teacher and student together; where this limit strikes, a seed no longer fixes the result."
        ),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(help="autoregressive (default, best), or independent, the TVAE paper's; native backend only."),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="The engine: native (default), or sdv for SDV's own TVAE behind the same face.")
    ] = None,
    device: Device = None,
    min_count: Annotated[
        int | None,
        typer.Option(
            help="Fewest people who must share a category, a frequent number, a bound or a relation's value for it to be learnt or stored: 5 unless given; 1 guards nobody."
        ),
    ] = None,
    privacy: Annotated[
        str | None,
        typer.Option(
            help="student: what is kept learns from rows that a teacher wrote (default of tables below 10,000 rows, and of "
            "larger ones whose generator could tell who was learnt); none: it learns the table itself, and the generator "
            "file is as sensitive as the data. Autoregressive decoder only."
        ),
    ] = None,
    decode: Annotated[
        str | None,
        typer.Option(
            help="sample (default) draws independent rows; stratified draws rows whose shares are closer to the learnt "
            "ones than chance would have them; argmax takes the likeliest, as SDV does, and loses rare categories."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A file, mode 0600 and as sensitive as the table, that says every 20 seconds where the training stands; "
            "it is removed at the end. Native backend only."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint, if it is there.")] = False,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Learn a table and write the generator file.

    What is left out has the default of the decoder, and depends on the size of the table. The other parameters are set
    in a YAML job: see the command run.
    """
    given = {
        "random_state": random_state, "epochs": epochs, "batch_size": batch_size, "max_minutes": max_minutes,
        "decoder": decoder, "backend": backend, "device": device, "decode": decode, "min_count": min_count,
        "privacy": privacy,
    }  # fmt: skip
    from clover_tvae.parameters import Parameters

    try:
        parameters = Parameters.of(**given).given()
    except ConfigError as error:
        options = [replace(problem, where=f"--{problem.where.replace('_', '-')}") for problem in error.problems]
        raise ConfigError(options) from None
    check_targets({output: ".pkl"}, force=force)

    require_files(metadata, table if database is None else None)
    from clover_tvae.synthesizer import Synthesizer
    from clover_tvae.tables import is_large
    from clover_tvae.workflows.timed import timed

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
        synth.generator_filepath = output
        try:
            synth.fit(checkpoint=checkpoint, resume=resume)
        except KeyboardInterrupt:
            if checkpoint is not None and checkpoint.exists():
                note(f"checkpoint {checkpoint} is kept: the same command with --resume goes on from it", quiet)
            raise
    note(synth.metadata.relations_told, quiet)
    cut = ", the last one cut short by --max-minutes" if synth.card()["training"]["stopped"] == "minutes" else ""
    note(f"epochs    {len(synth.history)}{cut}", quiet)
    note(f"privacy   {synth.card()['privacy']['meaning']}", quiet)
    say(f"generator {output}")
    say(f"sha256    {synth.card()['sha256']}")


@command
def sample(
    generator: Annotated[
        str, typer.Argument(metavar="GENERATOR.pkl", help="A generator file, or the URL of one.", show_default=False)
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="A .csv, .tsv, .parquet, .feather or .xlsx file; a folder, or s3://, gs:// or abfs://, for parts; or - for CSV on standard output.",
        ),
    ],
    rows: Annotated[
        int | None, typer.Option("--rows", "-n", min=0, metavar="N", help="Number of rows; left out with --given.")
    ] = None,
    seed: Seed = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--given",
            metavar="TABLE",
            help="A table of partial rows: each is completed, its known cells stay as they are.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", metavar="COLUMN=VALUE", help="Every row meets it; may be repeated."),
    ] = None,
    rows_per_part: Annotated[
        int, typer.Option("--rows-per-part", min=1, metavar="N", help="Rows a file, with a folder as output.")
    ] = 100_000,
    part_format: Annotated[str, typer.Option("--format", help="Of the parts: csv, csv.gz or parquet.")] = "csv",
    decode: Annotated[
        str | None, typer.Option(help="sample, stratified or argmax. [default: as the generator says]")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Passes of the network a row, at most: fewer are faster, and lose something."
        ),
    ] = None,
    no_missing: Annotated[bool, typer.Option("--no-missing", help="Draw no missing cells.")] = False,
    first_id: Annotated[
        int,
        typer.Option("--first-id", min=1, metavar="N", help="Number of the first identifier that is made anew."),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep the parts of a run that ends early, and go on from them when the same command runs again; with a "
            "folder as output, and --seed.",
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            help="Draw in N workers. [default: 1; on a cluster, as many as it has room for]",
        ),
    ] = None,
    engine: EngineName = "local",
    address: Address = None,
    shard_index: Annotated[
        int | None,
        typer.Option("--shard-index", metavar="I", min=0, help="Write the I-th share of the parts alone, from 0 on."),
    ] = None,
    num_shards: Annotated[
        int | None,
        typer.Option(
            "--num-shards",
            metavar="N",
            min=1,
            help="Of N shares, by runs of their own; the last one to end completes the folder.",
        ),
    ] = None,
    device: Device = None,
    expect_sha256: Expect = None,
    trust_pickle: Trust = False,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw rows from a generator file.

    Into a folder, the rows go to part-00000.csv, part-00001.csv ...: memory stays flat, and the rows are the same however
    many stand in a part, and whoever draws them.
    """
    if decode not in (None, "sample", "stratified", "argmax"):
        raise ConfigError(f"must be sample, stratified or argmax, found {decode!r}", "--decode")
    if rows is None and given is None:
        raise ConfigError("is missing: give the number of rows, or --given a table of partial rows", "--rows")
    if given is not None and where:
        raise ConfigError(
            "belongs to rows that are drawn anew; the cells of partial rows are their conditions", "--where"
        )

    import pandas as pd
    from tqdm import tqdm

    from clover_tvae.tables import print_csv, read_table
    from clover_tvae.tables.parts import name_of, parts_of
    from clover_tvae.tables.places import Store, fetched, is_url
    from clover_tvae.workflows.engines import make_engine
    from clover_tvae.workflows.output import draw_parts, draw_to, draw_to_store, is_table_file
    from clover_tvae.workflows.shards import Parts, Wanted
    from clover_tvae.workflows.timed import timed

    require_files(*(one for one in (generator, given) if not is_url(one)))
    store, path = Store(output) if is_url(output) else None, Path(output)
    made = make_engine(engine, address=address, n_workers=workers, shows_output=not quiet)
    share, is_seen = _share(shard_index, num_shards), progress_wanted(quiet)
    resume = resume or share[1] > 1
    is_alone = not made.is_remote and made.n_workers == 1 and share[1] == 1 and store is None
    to_stdout = output == "-"
    to_folder = not to_stdout and not is_table_file(path)
    if resume and (seed is None or not to_folder):
        which = "--resume" if share[1] == 1 else "--num-shards"
        raise ConfigError("needs --seed, and a folder as --output: what is kept are its parts", which)
    if not is_alone and not to_folder:
        raise ConfigError("must be a folder where several workers write: each writes parts of its own", "--output")
    digests_of_files = list[str | None]()
    for one in (generator, given):
        with contextlib.nullcontext() if one is None else fetched(one) as file:
            digests_of_files.append(file_digest(file))
            rows = len(read_table(file)) if one == given and file is not None and rows is None else rows
    assert rows is not None
    # Whatever makes other rows, or cuts them otherwise, makes another name.
    asked: tuple[object, ...] = (__version__, device, rows, seed, where, decode, no_missing, first_id, steps)
    asked += tuple(digests_of_files)
    name = hashlib.sha256(repr((*asked, rows_per_part, part_format)).encode()).hexdigest()[:32]
    if resume and name_of(store or path) == name:
        if store is None:
            parts_of(path)
        note("up to date: these very rows are there", quiet)
        say(f"rows      {path}{os.sep}" if store is None else f"rows      {store.called}")
        return
    if not to_stdout:
        check_rows_target(store or path, suffix=f".{part_format}", force=force)
    wanted = Wanted(
        _absolute(generator),
        expect_sha256,
        rows,
        _seeded(seed, quiet),
        where=tuple(where or ()),
        given=None if given is None else _absolute(given),
        device=device,
        trust_pickle=trust_pickle,
        decode=decode,
        missing=not no_missing,
        first_id=first_id,
        steps=steps,
    )
    _ = wanted.synth, wanted.conditions  # what is wrong with them is told before a worker or a folder is made
    if to_stdout:
        # One table, as its dates and quotes are decided over all of its rows.
        print_csv(pd.concat(list(wanted.frames()), ignore_index=True), sys.stdout.buffer)
        return
    # The workers are to open this very file.
    sent = wanted if is_alone else replace(wanted, sha256=wanted.synth.card()["sha256"])
    parts = Parts(sent, f".{part_format}", rows_per_part, share)
    kept: dict[str, Any] = {
        "name": name,
        "counts": parts.counts,
        "resume_as": name if resume else None,
        "on_left": lambda: note(
            "parts of another command that ended early were waiting there: they are removed", quiet
        ),
    }
    bar = tqdm(total=rows, unit=" rows", unit_scale=True, disable=not is_seen)

    def drawn(skip: int = 0) -> Iterator[pd.DataFrame]:
        if skip:
            note(f"resumed   after {min(skip, rows):,} rows", quiet)
            bar.update(min(skip, rows))
        for frame in wanted.frames(skip):
            yield frame
            bar.update(len(frame))

    def written_by_workers(waiting: str | Path) -> Iterator[Mapping[str, str]]:
        for digests in parts.groups(waiting, made, bar.update):
            progress(f"{', '.join([*digests][:: max(1, len(digests) - 1)])}", quiet or is_seen)
            yield digests

    with timed(f"drew {rows:,} rows", lambda text: note(text, quiet)), bar:
        if is_alone:
            written = draw_to(
                drawn,
                path,
                suffix=f".{part_format}",
                rows_per_part=rows_per_part,
                on_part=lambda path, n_rows: progress(f"{path.name}: {n_rows:,} rows", quiet or is_seen),
                **kept,
            )
        elif store is not None:
            del kept["on_left"]
            is_whole = draw_to_store(written_by_workers, store, names=parts.names, is_shared=share[1] > 1, **kept)
            written = [Path(one) for one in parts.names] if is_whole else []
        else:
            written = draw_parts(written_by_workers, path.absolute(), names=parts.names, is_shared=share[1] > 1, **kept)
    place = f"{path}{os.sep}" if store is None else store.called
    if not written:
        say(f"shard     {share[0]} of {share[1]} is there; the parts are listed once all are")
        return
    say(f"rows      {path}" if written == [path] else f"rows      {place} ({len(written)} parts)")


def _absolute(file: str) -> str:
    """Return the name by which a worker finds a file: its absolute path, or its URL."""
    from clover_tvae.tables.places import is_url

    return file if is_url(file) else str(Path(file).absolute())


def _share(index: int | None, n: int | None) -> tuple[int, int]:
    """Return which share of how many is asked for, counted from 0."""
    if (index is None) != (n is None):
        raise ConfigError("--shard-index and --num-shards belong together", "sample")
    if index is None or n is None:
        return 0, 1
    if index >= n:
        raise ConfigError(f"must be below --num-shards, {n}, as they count from 0, found {index}", "--shard-index")
    return index, n


def _opened(generator: Path, device: str | None, **options: Any) -> Synthesizer:
    """Return the generator of a file, on a device if one is given."""
    from clover_tvae.synthesizer import Synthesizer

    if device is not None:
        options["device"] = device
    return Synthesizer.load(generator, **options)


def _seeded(seed: int | None, quiet: bool) -> int:
    """Return the seed, or a new one: a generator's own would give the same draws in every run."""
    if seed is None:
        seed = secrets.randbelow(2**32)
        note(f"seed      {seed}", quiet)
    return seed


@command
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
    from clover_tvae.tables import WRITTEN, write_table

    require_files(generator, table)
    check_targets({output: WRITTEN}, force=force)
    synth = _opened(generator, device, expected_sha256=expect_sha256)
    df, dialect = read(table, synth.metadata, missing, how, quiet=quiet)
    filled: Any = synth.impute(df, random_state=_seeded(seed, quiet))
    write_table(filled, output, dialect)
    say(
        f"rows      {output} ({int(synth.metadata.read(df).isna().sum().sum() - filled.isna().sum().sum()):,} cells filled)"
    )


@command
def inspect(
    generator: Generator,
    card: Annotated[
        Path | None,
        typer.Option("--card", metavar="CARD.md", help="Write the model card as Markdown, and as JSON beside it."),
    ] = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
    expect_sha256: Expect = None,
    debug: Debug = False,
) -> None:
    """Tell what a generator learnt, on what, and its digest. Nothing of the file is run."""
    from clover_tvae.report import card_groups, card_json, card_markdown

    require_files(generator)
    facts = _card_of(generator, expect_sha256)
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


def _card_of(path: Path, expected_sha256: str | None) -> dict[str, Any]:
    """Return the card of ``TVAESynthesizer.card()``, as it may be shown, without building the model.

    Neither torch nor a pickle is touched, so of the parts only what is read here is checked to be what it must be.
    """
    from clover_tvae.artifact import read_artifact
    from clover_tvae.backends.native_parts import unpacked
    from clover_tvae.evaluation.disclosure import card_to_show
    from clover_tvae.parameters import Privacy
    from clover_tvae.relations.document import relation_texts

    def mapping(part: Any, key: str) -> dict[str, Any]:
        value = part.get(key) if isinstance(part, dict) else None
        return value if isinstance(value, dict) else {}

    content = read_artifact(path, expected_sha256=expected_sha256)
    training, model = content["training"], content["model"]
    inner = mapping(training, "backend")
    facts, history = mapping(inner, "facts"), None
    with contextlib.suppress(ValueError):
        history = unpacked(inner.get("history", inner.get("losses")))
    privacy = Privacy()
    with contextlib.suppress(ValueError):
        privacy = Privacy.model_validate(content["privacy"] or {})
    relations: list[str] = []
    with contextlib.suppress(ValueError, TypeError):
        relations = relation_texts(content["metadata"].get("relations"))
    return card_to_show(
        {
            "package": "clover_tvae",
            "backend": model.get("backend"),
            "writer": content["writer"],
            "sha256": content["sha256"],
            "random_state": training.get("random_state"),
            "decode": training.get("decode"),
            "metadata": {**content["metadata"], "relations": relations},
            "rows": facts.get("rows"),
            "columns": training.get("n_columns"),
            "parameters": mapping(inner, "parameters") or mapping(model, "parameters"),
            "training": {**facts, "epochs": len(history) if isinstance(history, list) else None},
            "privacy": privacy.told(),
            "opens_without_running_code": not model.get("pickle", False),
        }
    )
