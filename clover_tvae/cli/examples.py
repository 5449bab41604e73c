"""``examples copy``: the examples that came with the package, in a folder of the user's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from clover_tvae.cli.console import Debug, Quiet, command, note, say
from clover_tvae.cli.files import Force
from clover_tvae.errors import ConfigError, TableFileError

group = typer.Typer(no_args_is_help=True, help="The examples that came with the package.")
#: In an installed package they lie inside of it; in a copy of the project beside it.
_HERE = Path(__file__).parents[1]
_PLACES = _HERE / "examples", _HERE.parent / "examples"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group.command(epilog="Example:\n\n  clover-tvae examples copy first-steps\n")(copy)
    app.add_typer(group, name="examples", rich_help_panel="Tables")


@command
def copy(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or an empty one.")],
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Copy jobs, scripts and the notebook into a folder."""
    source = next((place for place in _PLACES if place.is_dir()), None)
    if source is None:
        raise ConfigError("the examples did not come with this installation", "examples")
    if folder.exists() and not folder.is_dir():
        raise ConfigError("must be a folder, found a file", str(folder))
    if folder.is_dir() and any(folder.iterdir()) and not force:
        text = "must be a new folder, or an empty one, found files in it; --force writes beside and over them"
        raise ConfigError(text, str(folder))
    try:
        left_out = shutil.ignore_patterns("output", "pictures", "__pycache__")
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=left_out)
    except OSError as error:
        raise TableFileError(f"cannot be written: {error.strerror or type(error).__name__}", str(folder)) from error
    for file in sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()):
        note(str(file), quiet)
    say(f"examples  {folder}")
