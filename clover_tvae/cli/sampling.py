"""``sample``: rows of a generator file, drawn here, in several processes, on a cluster, or in shares by runs of their own."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
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
from clover_tvae.cli.files import Force, Read, check_rows_target, dialect_like, require_files
from clover_tvae.errors import ConfigError
from clover_tvae.version import __version__

if TYPE_CHECKING:
    import pandas as pd
    from tqdm import tqdm

    from clover_tvae.tables.places import Store
    from clover_tvae.workflows.engines import Engine
    from clover_tvae.workflows.shards import Parts

SAMPLE_EXAMPLES = """\
Examples:

  clover-tvae sample employees.pkl --rows 1000 -o employees.csv --seed 1

  clover-tvae sample employees.pkl --rows 500 -o women.csv --where gender=F --where "salary>=50000"

  clover-tvae sample employees.pkl --rows 1000 -o employees.csv --like learnt.csv --read encoding=cp1252

  clover-tvae sample employees.pkl --rows 10000000 -o parts/ --rows-per-part 500000 --seed 1 --resume

  clover-tvae sample employees.pkl --rows 1000000000 -o parts/ --format parquet --rows-per-part 1000000 --seed 1 --engine ray --resume

  clover-tvae sample employees.pkl --rows 10000000 -o parts/ --seed 1 --shard-index "$SLURM_ARRAY_TASK_ID" --num-shards 16

  clover-tvae sample employees.pkl --rows 100 -o - | gzip > employees.csv.gz

Conditions: COLUMN=VALUE, COLUMN=A|B (any of them), COLUMN= (missing), COLUMN!= (not missing), !=, <, <=, >, >=.
"""
_LEFT = "parts of another command that ended early were waiting there: they are removed"


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
            metavar="TABLE",
            help="A table of partial rows: each is completed, its known cells stay as they are.",
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE.csv",
            help="Write CSV as this file is written, such as the learnt one: separator, decimal mark, encoding and quotes.",
        ),
    ] = None,
    how: Read = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", metavar="COLUMN=VALUE", help="Every row meets it; may be repeated."),
    ] = None,
    rows_per_part: Annotated[
        int, typer.Option(min=1, metavar="N", help="Rows a file, with a folder as output.")
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
        int, typer.Option(min=1, metavar="N", help="Number of the first identifier that is made anew.")
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
        typer.Option(metavar="I", min=0, help="Write the I-th share of the parts alone, from 0 on."),
    ] = None,
    num_shards: Annotated[
        int | None,
        typer.Option(
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
    from clover_tvae.tables.dataset import table_digest
    from clover_tvae.tables.parts import name_of, parts_of
    from clover_tvae.tables.places import Copies, Store, is_url
    from clover_tvae.workflows.engines import make_engine
    from clover_tvae.workflows.output import is_table_file
    from clover_tvae.workflows.shards import Parts, Wanted
    from clover_tvae.workflows.timed import timed

    require_files(generator, given, like)
    place: Path | Store = Store(output) if is_url(output) else Path(output)
    to_stdout = output == "-"
    to_folder = not isinstance(place, Path) or not (to_stdout or is_table_file(place))
    made = make_engine(engine, address=address, n_workers=workers, shows_output=not quiet)
    share = _share(shard_index, num_shards)
    resume = resume or share[1] > 1
    is_alone = not made.is_remote and made.n_workers == 1 and share[1] == 1 and isinstance(place, Path)
    if resume and (seed is None or not to_folder):
        which = "--resume" if share[1] == 1 else "--num-shards"
        raise ConfigError("needs --seed, and a folder as --output: what is kept are its parts", which)
    if not is_alone and not to_folder:
        raise ConfigError("must be a folder where several workers write: each writes parts of its own", "--output")
    if (like or how) and (to_folder or not (to_stdout or {".csv", ".tsv"} & {*Path(output.lower()).suffixes})):
        raise ConfigError("belongs to one CSV file as --output, or to standard output", "--like" if like else "--read")
    copies = Copies()
    files = [None if one is None else table_digest(Path(copies.here(one))) for one in (generator, given)]
    # Whatever makes other rows, or cuts them otherwise, makes another name.
    asked = (__version__, device, rows, seed, where, decode, no_missing, first_id, steps, *files)
    name = hashlib.sha256(repr((*asked, rows_per_part, part_format)).encode()).hexdigest()[:32]
    called = f"{place}{os.sep if to_folder else ''}" if isinstance(place, Path) else place.called
    if resume and name_of(place) == name:
        if isinstance(place, Path):
            parts_of(place)
        note("up to date: these very rows are there", quiet)
        say(f"rows      {called}")
        return
    if not to_stdout:
        check_rows_target(place, suffix=f".{part_format}", force=force)
    asked_for = Wanted(
        _absolute(generator), expect_sha256, rows, seeded(seed, quiet), where=tuple(where or ()),
        given=None if given is None else _absolute(given), device=device, trust_pickle=trust_pickle, decode=decode,
        missing=not no_missing, first_id=first_id, steps=steps, copies=copies,
    )  # fmt: skip
    # What is wrong is told before a worker or a folder is made, and the workers are to open this very file.
    wanted = asked_for.opened()
    copies.close()
    dialect = dialect_like(like, wanted.synth.metadata, how or (), quiet=quiet)
    if to_stdout:
        # One table, as its dates and quotes are decided over all of its rows.
        try:
            print_csv(pd.concat(list(wanted.frames()), ignore_index=True), sys.stdout.buffer, dialect)
        except UnicodeEncodeError:
            text = f"some text has letters that {dialect.encoding or 'UTF-8'} lacks; write it in another encoding"
            raise ConfigError(text, "--output") from None
        return
    parts = Parts(wanted, f".{part_format}", rows_per_part, share)
    kept: dict[str, Any] = {"name": name, "counts": parts.counts, "resume_as": name if resume else None}
    n_rows = sum(parts.counts[slice(*parts.span)])
    bar = tqdm(total=n_rows, unit=" rows", unit_scale=True, disable=not progress_wanted(quiet))
    with timed(f"drew {n_rows:,} rows", lambda text: note(text, quiet)), bar:
        if is_alone:
            written = _drawn_here(parts, Path(output), bar, quiet, dialect=dialect, **kept)
        else:
            written = _drawn_by_workers(parts, place, made, bar, quiet, **kept)
    if not written:
        say(f"shard     {share[0]} of {share[1]} is there; the parts are listed once all are")
        return
    say(f"rows      {called}" + (f" ({len(written)} parts)" if to_folder else ""))


def _drawn_here(parts: Parts, path: Path, bar: tqdm[Any], quiet: bool, **how: Any) -> list[Path]:
    """Draw the rows in this process, and return the files."""
    from clover_tvae.workflows.output import draw_to

    def drawn(skip: int = 0) -> Iterator[pd.DataFrame]:
        if skip := min(skip, parts.wanted.count):
            note(f"resumed   after {skip:,} rows", quiet)
            bar.update(skip)
        for frame in parts.wanted.frames(skip):
            yield frame
            bar.update(len(frame))

    def on_part(path: Path, n_rows: int) -> None:
        progress(f"{path.name}: {n_rows:,} rows", quiet or progress_wanted(quiet))

    how |= {"suffix": parts.suffix, "rows_per_part": parts.rows_per_part}
    return draw_to(drawn, path, on_part=on_part, on_left=lambda: note(_LEFT, quiet), **how)


def _drawn_by_workers(
    parts: Parts, place: Path | Store, engine: Engine, bar: tqdm[Any], quiet: bool, **how: Any
) -> list[Path]:
    """Have workers draw this share of the parts; return the files once those of all shares are there, and none before."""
    from clover_tvae.workflows.output import draw_parts, draw_to_store

    def written(waiting: str | Path) -> Iterator[Mapping[str, str]]:
        for digests in parts.groups(waiting, engine, bar.update):
            progress(" to ".join([*digests][:: max(1, len(digests) - 1)]), quiet or progress_wanted(quiet))
            yield digests

    how |= {"names": parts.names, "is_shared": parts.share[1] > 1}
    if isinstance(place, Path):
        return draw_parts(written, place.absolute(), on_left=lambda: note(_LEFT, quiet), **how)
    return [Path(one) for one in parts.names] if draw_to_store(written, place, **how) else []


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
