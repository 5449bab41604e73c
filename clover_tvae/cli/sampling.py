"""``sample``: rows of a generator file, drawn here, in several processes, on a cluster, or in shares by runs of their own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clover_tvae.cli.console import (
    Address,
    Debug,
    Device,
    EngineName,
    Expect,
    Quiet,
    Seed,
    Trust,
    Workers,
    command,
    note,
    progress,
    progress_wanted,
    say,
    seeded,
)
from clover_tvae.cli.files import Force, check_rows_target, require_files
from clover_tvae.errors import ConfigError
from clover_tvae.files import file_digest
from clover_tvae.version import __version__

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_EXAMPLES = """\
Examples:

  clover-tvae sample employees.pkl --rows 1000 -o employees.csv --seed 1

  clover-tvae sample employees.pkl --rows 500 -o women.csv --where gender=F --where "salary>=50000"

  clover-tvae sample employees.pkl --rows 10000000 -o parts/ --rows-per-part 500000 --seed 1 --resume

  clover-tvae sample employees.pkl --rows 1000000000 -o parts/ --format parquet --rows-per-part 1000000 --seed 1 --engine ray --resume

  clover-tvae sample employees.pkl --rows 10000000 -o parts/ --seed 1 --shard-index "$SLURM_ARRAY_TASK_ID" --num-shards 16

  clover-tvae sample employees.pkl --rows 100 -o - | gzip > employees.csv.gz

Conditions: COLUMN=VALUE, COLUMN=A|B (any of them), COLUMN= (missing), COLUMN!= (not missing), !=, <, <=, >, >=.
"""


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
        int, typer.Option("--first-id", min=1, metavar="N", help="Number of the first identifier that is made anew.")
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep the parts of a run that ends early, and go on from them when the same command runs again; with a "
            "folder as output, and --seed.",
        ),
    ] = False,
    workers: Workers = None,
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
        text = "belongs to rows that are drawn anew; the cells of partial rows are their conditions"
        raise ConfigError(text, "--where")

    import pandas as pd
    from tqdm import tqdm

    from clover_tvae.tables import print_csv
    from clover_tvae.tables.parts import name_of, parts_of
    from clover_tvae.tables.places import Store, fetched, is_url
    from clover_tvae.workflows.engines import make_engine
    from clover_tvae.workflows.output import draw_parts, draw_to, draw_to_store, is_table_file
    from clover_tvae.workflows.shards import Parts, Wanted
    from clover_tvae.workflows.timed import timed

    require_files(generator, given)
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
        seeded(seed, quiet),
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
    rows = wanted.count
    if to_stdout:
        # One table, as its dates and quotes are decided over all of its rows.
        print_csv(pd.concat(list(wanted.frames()), ignore_index=True), sys.stdout.buffer)
        return
    # The workers are to open this very file.
    sent = wanted if is_alone else replace(wanted, sha256=wanted.synth.card()["sha256"], n_rows=rows)
    parts = Parts(sent, f".{part_format}", rows_per_part, share)
    left = "parts of another command that ended early were waiting there: they are removed"
    kept: dict[str, Any] = {
        "name": name,
        "counts": parts.counts,
        "resume_as": name if resume else None,
        "on_left": lambda: note(left, quiet),
    }
    rows_here = sum(parts.counts[slice(*parts.span)])
    bar = tqdm(total=rows_here, unit=" rows", unit_scale=True, disable=not is_seen)

    def drawn(skip: int = 0) -> Iterator[pd.DataFrame]:
        if skip:
            note(f"resumed   after {min(skip, rows):,} rows", quiet)
            bar.update(min(skip, rows))
        for frame in wanted.frames(skip):
            yield frame
            bar.update(len(frame))

    def written_by_workers(waiting: str | Path) -> Iterator[Mapping[str, str]]:
        for digests in parts.groups(waiting, made, bar.update):
            progress(" to ".join([*digests][:: max(1, len(digests) - 1)]), quiet or is_seen)
            yield digests

    with timed(f"drew {rows_here:,} rows", lambda text: note(text, quiet)), bar:
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
