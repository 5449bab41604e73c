"""Processes that are attacked: each is forked from a clean server that has imported the package, and ends by itself or by us.

What goes wrong in them is real: signals, limits of the system, full and closed folders, clocks. They call the package as its
users do, by ``clover-tvae`` and ``run_jobs``, so that any version of it can be attacked.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

#: A job on sklearn's iris table: what is learnt does not matter here.
IRIS = {
    "continuous": ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"],
    "categorical": ["species"],
}
QUICK = {"epochs": 1, "decoder": "independent", "random_state": 3}
_SERVER = multiprocessing.get_context("forkserver") if hasattr(os, "fork") else None
if _SERVER is not None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _SERVER.set_forkserver_preload(
        [
            "clover_tvae.cli.app",
            "clover_tvae.jobs",
            "clover_tvae.backends.native",
            "clover_tvae.report",
            "sklearn.mixture",
        ]
    )

Step = tuple[Callable[..., object], tuple[Any, ...]]


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code, or minus the signal; and what it wrote."""

    code: int
    out: str
    err: str


class Child:
    """A process that calls ``act(*arguments)`` after the steps ``before`` have changed its world."""

    def __init__(
        self, folder: Path, act: Callable[..., object], *arguments: object, before: Sequence[Step] = ()
    ) -> None:
        assert _SERVER is not None
        folder.mkdir(exist_ok=True, parents=True)
        self.logs = [folder / f"{name}.{time.monotonic_ns()}" for name in ("out", "err")]
        self.process: BaseProcess = _SERVER.Process(
            target=_live, args=([str(log) for log in self.logs], act, arguments, before)
        )
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def ended(self, seconds: float = 300.0) -> Ended:
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"a child hung; it had said {self.logs[1].read_text()!r}")
        out, err = (log.read_text(errors="replace") if log.exists() else "" for log in self.logs)
        for log in self.logs:
            log.unlink(missing_ok=True)
        return Ended(self.process.exitcode, out, err)


def _live(logs: list[str], act: Callable[..., object], arguments: tuple[Any, ...], before: Sequence[Step]) -> None:
    for number, log in enumerate(logs, start=1):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    for step, values in before:
        step(*values)
    act(*arguments)


def command(*arguments: object) -> None:
    """Be ``clover-tvae`` with these arguments."""
    from clover_tvae.cli import main

    sys.argv = ["clover-tvae", *map(str, arguments)]
    main()


def clover_tvae(folder: Path, *arguments: object, before: Sequence[Step] = ()) -> Ended:
    """Run the command and wait for its end."""
    return Child(folder, command, *arguments, before=before).ended()


# -- what changes the world of a child ------------------------------------------------------------------------------------


def limit(name: str, most: int) -> None:
    """Lower a limit of the system, such as ``RLIMIT_NOFILE``."""
    import resource

    resource.setrlimit(getattr(resource, name), (most, most))


def limit_more_memory(n_bytes: int) -> None:
    """Let the process take so many bytes more of address space than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit("RLIMIT_AS", pages * os.sysconf("SC_PAGE_SIZE") + n_bytes)


def become_nameless(*folders: str) -> None:
    """Be a user whom the system does not know, and who owns these folders; whoever owns this Python, it can be read."""
    for path in (path for folder in folders for path in (Path(folder), *Path(folder).rglob("*"))):
        os.chown(path, 54321, 54321)
    os.setgroups([])
    os.setgid(54321)
    ctypes.CDLL(None).prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setuid(54321)
    keep_capabilities(1 << 2)  # CAP_DAC_READ_SEARCH


def keep_capabilities(mask: int = 0) -> None:
    """Keep of root's capabilities only these: without any, root is bound by the rights of files as others are."""
    version_and_process, kept = struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", mask, mask, 0, 0, 0, 0)
    assert ctypes.CDLL(None).capset(version_and_process, kept) == 0


#: What binds a child by the rights of files, whoever runs the tests.
AS_OTHERS: list[Step] = [(keep_capabilities, ())] if getattr(os, "geteuid", lambda: 1)() == 0 else []


@contextlib.contextmanager
def own_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of four mebibytes, or skip the test where none may be mounted."""
    mount = shutil.which("mount")
    given = [mount or "mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if mount is None or subprocess.run(given, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def set_environment(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def set_clock(seconds: float) -> None:
    """Move the clock of the process, as Python tells it; a negative number sets it back at every look."""
    real, looks = time.time, iter(range(10**9))
    time.time = lambda: real() + seconds * (1 + next(looks))  # type: ignore[assignment]


# -- jobs -----------------------------------------------------------------------------------------------------------------


def iris_job(name: str = "iris", **keys: object) -> dict[str, Any]:
    sample = {"rows": 7, "output": f"out/{name}.csv", "seed": 1}
    job = {"name": name, "data": {"dataset": "sklearn.iris"}, "metadata": IRIS, "synthesizer": QUICK}
    return {**job, "generator_filepath": f"out/{name}.pkl", "sample": sample, **keys}


def write_jobs(folder: Path, *jobs: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "jobs.yaml"
    path.write_text(json.dumps({"version": 1, "jobs": list(jobs)}))
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones as well, but for what jobs keep about themselves."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".clover-tvae" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
