"""``run``, ``validate`` and ``schema``: YAML jobs at the command line."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clover_tvae.cli.console import (
    Address,
    Debug,
    EngineName,
    Quiet,
    Workers,
    command,
    note,
    progress,
    progress_wanted,
    say,
    say_json,
    training_told,
    warn,
)
from clover_tvae.cli.files import check_targets, fetch, with_copies
from clover_tvae.errors import ConfigError
from clover_tvae.files import write_text

if TYPE_CHECKING:
    from clover_tvae.jobs import Job, JobResult

Files = Annotated[list[Path], typer.Argument(metavar="JOB.yaml...", help="Job files.", show_default=False)]
Only = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Run this job only; may be repeated.")]
Root = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Paths are relative to it and stay under it. [default: each file's folder]"),
]
AllowUrl = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        help="Jobs may read and write under this folder of an object store, too: s3://, gs:// or abfs://; may be repeated.",
    ),
]
_MARKS = {"done": ("done", "green"), "up to date": ("up to date", "green"), "failed": ("FAILED", "red")}


class SchemaName(str, Enum):
    """The things that have a JSON Schema."""

    job = "job"
    metadata = "metadata"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=_RUN_EXAMPLES, rich_help_panel="Jobs")(run)
    app.command(epilog="Example:  clover-tvae validate examples/patients.yaml", rich_help_panel="Jobs")(validate)
    app.command(epilog="Example:  clover-tvae schema job > job.schema.json", rich_help_panel="Jobs")(schema)


_RUN_EXAMPLES = """\
Examples:

  clover-tvae run examples/patients.yaml

  clover-tvae run jobs/*.yaml --keep-going --jobs 4 --summary summary.json

  clover-tvae run jobs/*.yaml --engine ray --address 10.0.0.1:6379

  clover-tvae run jobs.yaml --allow-url s3://clinic/visits

  clover-tvae run jobs.yaml --only patients --dry-run
"""


@command
@with_copies
def run(
    files: Files,
    only: Only = None,
    root: Root = None,
    allow_url: AllowUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Draw the rows again, even if they are there.")] = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train again, too, even if the generator is there.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on with the other jobs after a failure.")
    ] = False,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    summary_path: Annotated[
        Path | None, typer.Option("--summary", metavar="FILE.json", help="Write what became of each job as JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run YAML jobs: learn tables, keep the generators, draw rows.

    Every job of every file is checked before the first one starts. What is up to date is not done again; a generator
    that is there is used without training.
    """
    from clover_tvae.jobs import exit_code, load_jobs, run_jobs, summary
    from clover_tvae.workflows.engines import make_engine

    made = make_engine(engine, address=address, n_workers=workers, shows_output=not (quiet or as_json))
    asked: dict[str, Any] = {"root": root, "only": only or (), "force": force, "retrain": retrain}
    asked |= {"allow_urls": allow_url or (), "is_remote": made.is_remote}
    # A cluster reads tables where it learns them.
    jobs = load_jobs(files, tables="never" if made.is_remote else "due", **asked)
    if summary_path is not None:
        _check_summary(summary_path)
    if dry_run:
        _show_plans(jobs, force=force, retrain=retrain, as_json=as_json)
        return
    with training_told(quiet or as_json):
        results = run_jobs(
            jobs,
            force=force,
            retrain=retrain,
            keep_going=keep_going,
            engine=made,
            verbose=progress_wanted(quiet),
            debug=debug,
            on_start=lambda job: progress(f"{job.name} ...", quiet or as_json),
            tell=lambda text: progress(f"  {text}", quiet or as_json),
            on_done=lambda result: None if as_json else _show(result, quiet),
        )
    plain = summary(results)
    if summary_path is not None:
        write_text(summary_path, json.dumps(plain, indent=2) + "\n", mode=0o644)
    if as_json:
        say_json(plain)
    raise typer.Exit(exit_code(results))


def _check_summary(path: Path) -> None:
    """Refuse a place for the summary before any job is run; only an earlier summary is written over."""
    from clover_tvae.jobs.result import SUMMARY_FORMAT

    check_targets({path: ".json"}, force=True)
    fetch(path)
    if not path.exists():
        return
    try:
        earlier = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        earlier = None
    if not isinstance(earlier, dict) or earlier.get("format") != SUMMARY_FORMAT:
        raise ConfigError("the file exists, and is no summary of jobs; give another name", str(path))


def _show(result: JobResult, quiet: bool) -> None:
    mark, style = _MARKS.get(result.status, (result.status, "yellow"))
    for text in result.warnings:
        warn(f"{result.name}: {text}")
    facts: list[tuple[str, str | None]] = [("report", result.report), ("dossier", result.dossier)]
    if result.error is not None:
        note(f"{result.name}: {mark} after {result.seconds:.1f} s", style=style)
        note(f"error: {result.error.message}", style="red")
    elif not quiet or result.status != "up to date":
        took = f" in {result.seconds:.1f} s" if result.status == "done" else ""
        say(f"{result.name}: {mark}{took}" + (f" ({result.reason})" if result.reason else ""), style)
        learnt = [("generator", result.generator), ("sha256", result.sha256)] if result.trained else []
        facts = [*learnt, *facts, *(("rows", output) for output in result.outputs)]
    for what, said in facts:
        if said:
            say(f"  {what:<9} {said}")


def _show_plans(jobs: tuple[Job, ...], *, force: bool, retrain: bool, as_json: bool) -> None:
    from clover_tvae.jobs import plan_job

    plans = []
    for job in jobs:
        plan = plan_job(job, force=force, retrain=retrain)
        outputs = [job.spec.sample[index].place for index in plan.samples]
        told = {"name": job.name, "file": job.file, "train": plan.train, "assess": plan.assess, "outputs": outputs}
        plans.append(told | {"reason": plan.reason})
        if not as_json:
            wanted = {"train": plan.train, "measure": plan.assess, **{f"draw {output}": True for output in outputs}}
            steps = [step for step, due in wanted.items() if due]
            say(f"{job.name}: {', '.join(steps) or 'nothing to do'} ({plan.reason})")
    if as_json:
        say_json({"format": "clover-tvae-plan", "version": 1, "jobs": plans})


@command
def validate(
    files: Files,
    only: Only = None,
    root: Root = None,
    allow_url: AllowUrl = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check job files, their metadata, tables, conditions and outputs; report every problem at once."""
    from clover_tvae.jobs import load_jobs

    jobs = load_jobs(files, root=root, only=only or (), tables="always", allow_urls=allow_url or ())
    if not quiet:
        say(f"valid: {len(jobs)} job{'' if len(jobs) == 1 else 's'} ({', '.join(job.name for job in jobs)})", "green")


@command
def schema(
    which: Annotated[SchemaName, typer.Argument(help="Of a job file or of a metadata file.", show_default=False)],
    debug: Debug = False,
) -> None:
    """Print a JSON Schema, for editors that complete and check as you type."""
    from clover_tvae.jobs import job_schema
    from clover_tvae.metadata import metadata_schema

    say_json(job_schema() if which is SchemaName.job else metadata_schema())
