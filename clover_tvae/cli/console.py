"""What the command line says and where: results on standard output, progress and errors on standard error.

Every command is wrapped by :func:`command`, which turns errors into a few words and an exit code. Text that comes from
a file (a column name, a path) is shown with its control characters spelled out and is never read as markup.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from clover_tvae.errors import CloverError, UserError, collected_warnings, memory_told
from clover_tvae.files import as_called

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")]
EngineName = Annotated[
    str,
    typer.Option(metavar="local|ray", help="Where to work: processes of this machine, or a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the cluster: host:port, ray://host:port, or auto for the one on this machine. [default: RAY_ADDRESS, else one is started]"
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        help="Work in N workers at a time. [default: 1; on a cluster, as many as it has room for]",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the draws; without one every run draws others.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust-pickle", help="Open a generator of the sdv backend, which can run code. Only if you know its writer."
    ),
]
Expect = Annotated[str | None, typer.Option(metavar="HEX", help="Refuse the file unless it has this digest.")]
Device = Annotated[
    str | None,
    typer.Option(help="Where to compute: cpu (default), cuda, cuda:N, mps, or auto for the best at hand."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error. It may quote your data.")]

#: Typer names the class of all its usage errors only as the base of one of them.
_UsageError: Any = typer.BadParameter.__base__
#: What Typer and Click say of a word where they expect a number.
_NO_NUMBER = re.compile(r"(?:Input should be|'.*' is not) a valid (integer|number|float)\b.*", re.DOTALL)
_NUMBERS = {"integer": "must be a whole number", "number": "must be a number", "float": "must be a number"}
#: The widest first column of a table that is never broken, and how wide a table in a file may be.
_WHOLE, _FILE_WIDTH = 40, 160
#: A full disk, a used-up quota, a limit on the size of a file.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _console(stderr: bool) -> Console:
    # soft_wrap: a path that is broken over two lines cannot be copied. The stream is looked up at each call.
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)


def _safe(text: object) -> str:
    """Spell out what a terminal would obey or cannot show, such as an escape sequence in a column name; call copies by their URLs."""
    return as_called("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(text)))


def say(text: object = "", style: str | None = None) -> None:
    """Print a result on standard output."""
    _console(stderr=False).print(_safe(text), style=style)


def say_json(value: Any) -> None:
    """Print plain data as JSON on standard output; strict JSON, for machines."""
    _console(stderr=False).print(json.dumps(value, indent=2, ensure_ascii=True, default=str))


def say_table(columns: list[str], rows: list[list[object]]) -> None:
    """Print a small table on standard output."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    # Keys and short names stay in one piece, to be copied.
    whole = max((len(str(row[0])) for row in rows), default=0) <= _WHOLE
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=whole and index == 0)
    for row in rows:
        table.add_row(*(Text(_safe(cell)) for cell in row))
    # A file has no width: without one, what is wide there would be broken as in a terminal of 80.
    Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH).print(table)


def note(text: object, quiet: bool = False, style: str | None = None) -> None:
    """Print progress on standard error, unless ``quiet``."""
    if not quiet:
        _console(stderr=True).print(_safe(text), style=style)


def progress(text: object, quiet: bool = False) -> None:
    """Print a line of progress; with the time of day where it goes to a file, which has no other clock."""
    note(text if sys.stderr.isatty() else f"{time.strftime('%H:%M:%S')} {text}", quiet)


@contextlib.contextmanager
def training_told(quiet: bool) -> Iterator[None]:
    """Print what the training logs as lines of progress, where no bar shows it."""
    handler = logging.Handler()
    handler.emit = lambda record: progress(f"  {record.getMessage()}")  # type: ignore[method-assign]
    # The one says before a training how long it will take, the other how it goes.
    loggers = [logging.getLogger(name) for name in ("clover_tvae.backends", "clover_tvae.training")]
    levels = [logger.level for logger in loggers]
    try:
        if not quiet and not progress_wanted(quiet):
            for logger in loggers:
                logger.addHandler(handler)
                logger.setLevel(logging.INFO)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def warn(text: object) -> None:
    """Print a warning on standard error."""
    _console(stderr=True).print(_safe(f"warning: {text}"), style="yellow")


@contextlib.contextmanager
def _warnings_told() -> Iterator[None]:
    """Print our own warnings on standard error, once each, when the block ends, however it does."""
    noted: list[str] = []
    try:
        with collected_warnings(noted):
            yield
    finally:
        for text in noted:
            warn(text)


def progress_wanted(quiet: bool) -> bool:
    """Tell whether a progress bar makes sense: somebody looks at it and has not asked for silence."""
    return not quiet and sys.stderr.isatty()


#: The signals that have come: what imports native code may turn the exception of one into its own.
_signals: list[int] = []


def last_signal() -> int | None:
    """The signal that ends the program, if one has come."""
    return _signals[-1] if _signals else None


class _SignalledError(KeyboardInterrupt):
    """A signal ends the program. Of KeyboardInterrupt itself Python keeps in mind that it once passed, and ends by SIGINT."""


def end_like_an_interrupt() -> None:
    """Have SIGTERM and SIGHUP end the program as Ctrl-C does, and note which came: nothing half written is left; what is ignored stays so."""

    def end(number: int, frame: object) -> None:
        _signals.append(number)
        raise _SignalledError(number)

    for name in ("SIGTERM", "SIGHUP", "SIGINT"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, end)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: errors become a few red words and the exit code that belongs to them, our warnings a yellow line."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        debug = bool(kwargs.get("debug"))
        kwargs |= {name: _at_home(value) for name, value in kwargs.items()}
        try:
            with memory_told(), _warnings_told():
                function(*args, **kwargs)
        except CloverError as error:
            _fail(error, error.exit_code, debug)
        except KeyboardInterrupt as error:
            _end_by(error.args[0] if error.args else last_signal() or signal.SIGINT)  # Ray raises a plain one
        except BrokenPipeError:
            # The reader of our output has gone, as `head` does. What is still buffered has nowhere to go.
            drop_output()
            raise typer.Exit(1) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            if (number := last_signal()) is not None:
                _end_by(number)
            if text := no_room(error):
                drop_output()
                _fail(text, 2, debug)
            from clover_tvae.jobs.result import OUR_BUG

            # The text of a foreign error may quote the data: only its kind is shown.
            _fail(f"{type(error).__name__}: {OUR_BUG}", 1, debug)

    return run


class Commands(TyperGroup):
    """Commands whose usage errors, such as a word for a number, are one line, as all others are."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the options before the command."""
        with _usage_told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Find the command, read its options, and run it."""
        with _usage_told():
            return super().invoke(ctx)


@contextlib.contextmanager
def _usage_told() -> Iterator[None]:
    """Tell what is wrong with options in one line, and end with exit code 2."""
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a command alone: its help is shown
            raise
        text = _NO_NUMBER.sub(lambda found: _NUMBERS[found[1]], error.format_message()).rstrip(".")
        _fail(f"{text}; see {error.ctx.command_path} -h" if error.ctx else text, 2, debug=False)


def _at_home(value: Any) -> Any:
    """Return a path, or a list of paths, whose ``~/`` the shell has left, as it does behind ``--output=``, as that of the user."""
    if isinstance(value, list):
        return [_at_home(one) for one in value]
    is_path = isinstance(value, Path) or (isinstance(value, str) and value.startswith(("~/", "~\\")))
    return type(value)(os.path.expanduser(value)) if is_path else value


def _end_by(number: int) -> NoReturn:
    """Say which signal has ended the program, and end with its exit code."""
    found = signal.Signals(number)
    with contextlib.suppress(OSError):  # after SIGHUP there is no terminal to tell
        told = "interrupted" if found == signal.SIGINT else f"ended by {found.name}"
        _console(stderr=True).print(told, style="red")
    raise typer.Exit(128 + found) from None


def no_room(error: BaseException) -> str:
    """Return what is said of a disk that is full, or a quota; empty of another error."""
    if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
        return ""
    return f"cannot write: {os.strerror(error.errno)}; make room, or write elsewhere"


def drop_output() -> None:
    """Send what is still buffered for standard output nowhere, or Python fails at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: CloverError | str, code: int, debug: bool) -> None:
    if debug:
        import traceback

        _console(stderr=True).print(_safe(traceback.format_exc()))
    lines = [str(problem) for problem in error.problems] if isinstance(error, UserError) else [str(error)]
    for line in lines:
        _console(stderr=True).print(f"error: {_safe(line)}".replace("\n", "\\n"), style="red")
    raise typer.Exit(code)


def seeded(seed: int | None, quiet: bool) -> int:
    """Return the seed, or a new one: a generator's own would give the same draws in every run."""
    if seed is None:
        seed = secrets.randbelow(2**32)
        note(f"seed      {seed}", quiet)
    return seed
