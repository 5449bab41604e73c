"""Kills processes that write: what they left beside a file, or in a folder of parts, must go, and parts must not be mixed.

SIGKILL leaves temporary files and hidden folders, which the next writer of that path removes while it leaves those of a
living one alone; SIGTERM and SIGHUP leave nothing. A kill between two renames of parts leaves a manifest that says so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.save_driver import content, fill_of
from clover_tvae.artifact import write_artifact
from clover_tvae.cli.files import check_rows_target
from clover_tvae.errors import ConfigError, TableFileError
from clover_tvae.files import atomic_write
from clover_tvae.tables import parts_of, read_table
from clover_tvae.tables.parts import is_broken_off
from clover_tvae.workflows.output import draw_to

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and POSIX signals")


def in_child(act: Callable[[], object], ended_by: signal.Signals | None = signal.SIGKILL) -> None:
    """Run ``act`` in a process of its own, which must end as it should."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == (ended_by or 0)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def writing(act: Callable[[Callable[[], None]], object]) -> Iterator[None]:
    """Have another process stand in the midst of writing: ``act`` calls what it is given there, and waits."""
    ready, go = os.pipe(), os.pipe()

    def wait() -> None:
        os.write(ready[1], b".")
        os.read(go[0], 1)

    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            act(wait)
            os._exit(0)
        os._exit(1)
    os.read(ready[0], 1)
    try:
        yield
    finally:
        os.write(go[1], b".")
        _, status = os.waitpid(child, 0)
        assert status == 0, "the living writer was disturbed"


def frames(value: int, n_rows: int = 60, at: int = -1, act: Callable[[], object] = die) -> Iterator[pd.DataFrame]:
    """Yield rows that all hold ``value``, ten a frame; before frame ``at``, something happens."""
    for frame in range(n_rows // 10):
        if frame == at:
            act()
        yield pd.DataFrame({"x": [value] * 10})


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path):
    target, other = tmp_path / "rows.csv", tmp_path / "rows.csv.gz"
    for path in (target, target, other):
        in_child(lambda path=path: atomic_write(path, lambda file: die()))
    assert len(os.listdir(tmp_path)) == 2  # the second has removed what the first left
    (tmp_path / ".rows.csv.mine.tmp").write_text("a name that we do not make")
    atomic_write(target, lambda file: file.write(b"x\n"))
    left = [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    assert sorted(name[:13] for name in left) == [".rows.csv.gz.", ".rows.csv.min"]
    atomic_write(other, lambda file: file.write(b"x\n"))
    assert sorted(os.listdir(tmp_path)) == [".rows.csv.mine.tmp", "rows.csv", "rows.csv.gz"]


def test_what_a_living_writer_is_at_stays(tmp_path):
    def slowly(wait: Callable[[], None]) -> None:
        atomic_write(tmp_path / "rows.csv", lambda file: (file.write(b"slow"), wait()))

    with writing(slowly):
        atomic_write(tmp_path / "rows.csv", lambda file: file.write(b"quick"))
        assert (tmp_path / "rows.csv").read_bytes() == b"quick"
    assert (tmp_path / "rows.csv").read_bytes() == b"slow"
    assert os.listdir(tmp_path) == ["rows.csv"]


def test_odd_things_of_that_name_do_no_harm(tmp_path):
    name = f".rows.csv.{'0' * 15}"
    os.mkfifo(tmp_path / f"{name}1.tmp")
    (tmp_path / f"{name}2.tmp").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").write_text("kept")
    (tmp_path / f"{name}3.tmp").symlink_to("nowhere")
    atomic_write(tmp_path / "rows.csv", lambda file: file.write(b"x"))
    assert (tmp_path / "rows.csv").read_bytes() == b"x"
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_drawing_that_was_killed_leaves_the_old_parts_and_its_folder_goes(tmp_path):
    parts = tmp_path / "parts"
    draw_to(lambda: frames(1), parts, rows_per_part=20)
    for at in (1, 3, 5):
        in_child(lambda at=at: draw_to(lambda: frames(2, at=at), parts, rows_per_part=10))
        assert pd.concat(map(read_table, parts_of(parts)))["x"].eq(1).all()
    assert len([name for name in os.listdir(parts) if name.startswith(".")]) == 1
    draw_to(lambda: frames(3), parts, rows_per_part=20)
    assert len(os.listdir(parts)) == 4


def test_a_drawing_with_a_name_goes_on_where_it_was_killed(tmp_path):
    parts, skipped = tmp_path / "parts", []

    def rest(skip=0):
        skipped.append(skip)
        return iter([pd.concat(frames(2), ignore_index=True).iloc[skip:]])

    in_child(lambda: draw_to(lambda: frames(2, at=3), parts, rows_per_part=10, resume_as="a"))
    draw_to(rest, parts, rows_per_part=10, resume_as="a")
    assert skipped[0] > 0
    draw_to(rest, tmp_path / "whole", rows_per_part=10)
    assert [part.read_bytes() for part in parts_of(parts)] == [p.read_bytes() for p in parts_of(tmp_path / "whole")]
    assert not [name for name in os.listdir(parts) if name.startswith(".")]
    in_child(lambda: draw_to(lambda: frames(1, at=3), parts, rows_per_part=10, resume_as="b"))
    draw_to(rest, parts, rows_per_part=10, resume_as="c")  # other rows: nothing of them is taken over
    assert skipped[-1] == 0
    assert not [name for name in os.listdir(parts) if name.startswith(".")]


def test_two_runs_do_not_write_one_folder(tmp_path):
    parts = tmp_path / "parts"
    first = writing(lambda wait: draw_to(lambda: frames(1, at=2, act=wait), parts))
    with first, pytest.raises(TableFileError, match="one run at a time"):
        draw_to(lambda: frames(2), parts)
    assert pd.concat(map(read_table, parts_of(parts)))["x"].eq(1).all()


def test_parts_that_were_changed_are_told(tmp_path):
    parts = tmp_path / "parts"
    draw_to(lambda: frames(1), parts, rows_per_part=20)
    (parts / "part-00001.csv").write_text("x\n7\n")
    with pytest.raises(TableFileError, match="found another"):
        parts_of(parts)
    (parts / "part-00001.csv").unlink()
    with pytest.raises(TableFileError, match="found none"):
        parts_of(parts)
    for text in (
        "",
        "[]",
        '{"format": "clover-tvae-parts", "is_whole": true, "parts": [{"name": "../x", "sha256": ""}]}',
        '{"format": "clover-tvae-parts", "is_whole": true, "parts": [1]}',
    ):
        (parts / "_parts.json").write_text(text)
        with pytest.raises(TableFileError):
            parts_of(parts)


@pytest.mark.parametrize("n_kills", [pytest.param(8, marks=pytest.mark.long), pytest.param(50, marks=pytest.mark.slow)])
def test_a_kill_between_renames_never_passes_for_a_table(tmp_path, n_kills):
    """All old, all new, or told; and the run is done again without being forced."""
    parts, told = tmp_path / "parts", {1: 0, 2: 0, "broken off": 0}
    for kill in range(n_kills):
        draw_to(lambda: frames(1), parts, rows_per_part=10)

        def killed_at(step: int = kill * 12 // n_kills) -> None:
            n_steps = 0

            def profile(frame, event, argument) -> None:
                nonlocal n_steps
                name = getattr(argument, "__name__", "")
                if event in ("c_call", "c_return") and name in ("replace", "rename", "unlink"):
                    if "output.py" in frame.f_back.f_code.co_filename or n_steps:
                        n_steps += 1
                    if n_steps > step:
                        die()

            sys.setprofile(profile)
            draw_to(lambda: frames(2, n_rows=50), parts, rows_per_part=10)
            sys.setprofile(None)

        in_child(killed_at)
        if is_broken_off(parts):
            with pytest.raises(TableFileError, match="broken off"):
                parts_of(parts)
            told["broken off"] += 1
            check_rows_target(parts, suffix=".csv", force=False)
        else:
            values = pd.concat(map(read_table, parts_of(parts)))["x"]
            assert values.nunique() == 1
            told[int(values.iloc[0])] += 1
            with pytest.raises(ConfigError, match="holds parts already"):
                check_rows_target(parts, suffix=".csv", force=False)
        draw_to(lambda: frames(3), parts, rows_per_part=10)
        assert len(os.listdir(parts)) == 7
    assert told["broken off"] >= n_kills // 2
    assert sum(told.values()) == n_kills


@pytest.mark.parametrize(
    "n_kills", [pytest.param(10, marks=pytest.mark.long), pytest.param(100, marks=pytest.mark.slow)]
)
def test_kills_in_save_leave_the_old_file_or_the_new_one_and_no_litter(tmp_path, n_kills):
    path = tmp_path / "generator.pkl"
    found = {1: 0, 2: 0}
    for kill in range(n_kills):
        write_artifact(path, content(1))
        assert os.listdir(tmp_path) == ["generator.pkl"]

        def killed_at(share: float = kill / n_kills) -> None:
            n_steps = 0

            def profile(*_: object) -> None:
                nonlocal n_steps
                n_steps += 1
                if n_steps > share * 2500:
                    die()

            sys.setprofile(profile)
            write_artifact(path, content(2))
            die()

        in_child(killed_at)
        found[fill_of(path)] += 1
    assert sum(found.values()) == n_kills
    assert found[1] >= 1


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_ask_to_end_leave_nothing(tmp_path, number):
    """The program stands in the midst of its parts when the signal comes, and takes its hidden folder with it."""
    code = (
        "import os, sys, time\n"
        "import pandas as pd, typer\n"
        "from pathlib import Path\n"
        "from clover_tvae.cli.console import command, end_like_an_interrupt\n"
        "from clover_tvae.workflows.output import draw_to\n"
        "def frames():\n"
        "    yield pd.DataFrame({'x': range(10)})\n"
        "    print('ready', flush=True); time.sleep(60)\n"
        "@command\n"
        "def draw() -> None:\n"
        "    draw_to(frames, Path(sys.argv[1]), rows_per_part=5)\n"
        "end_like_an_interrupt()\n"
        "try: draw()\n"
        "except typer.Exit as end: sys.exit(end.exit_code)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "parts")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == f"ended by {number.name}\n"
    assert os.listdir(tmp_path / "parts") == []
