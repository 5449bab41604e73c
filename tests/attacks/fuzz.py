"""Changes good files at random and opens them: generators (digest recomputed), jobs in YAML, metadata in JSON, CSV tables.

``python -m tests.attacks.fuzz generator --minutes 30 --seed 1`` (or ``yaml``, ``json``, ``csv``) tries and counts; run again,
it goes on where it ended. Try number ``i`` of a seed is always the same file. A file must be refused by an error of ours, in
under a second of processor time and 64 MB, or open as something that works. What does neither is kept beside the count.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import csv
import gzip
import io
import json
import math
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks import pickles
from attacks.patients import METADATA as OF_PATIENTS
from attacks.patients import patients
from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.artifact import plain, read_artifact
from clover_tvae.errors import CloverError, ConditionError
from clover_tvae.jobs import load_jobs
from clover_tvae.tables import read_table

Random = np.random.Generator
MOST_SECONDS, MOST_MEGABYTES = 1.0, 64
#: Nothing opens for so long, whatever it is: the try is ended and told.
HANG_SECONDS = 60
#: Mutants are no larger: what a size alone costs is tried by ``test_slow_files``.
MOST_BYTES = 2**20


# ------------------------------------------------------------------------------------------ changes of any file


def repeated(part: bytes, times: int) -> bytes:
    return part * min(times, MOST_BYTES // max(1, len(part)) + 1)


def changed_bytes(data: bytes, rng: Random, tokens: tuple[bytes, ...]) -> bytes:
    """Change a few places of a file: bits, bytes, slices, and tokens that mean something to its reader."""
    for _ in range(int(rng.geometric(0.4))):
        start, end = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
        if rng.random() < 0.7:
            end = min(end, start + int(rng.geometric(0.1)))
        token = tokens[rng.integers(len(tokens))]
        match rng.integers(8):
            case 0 if start < len(data):
                data = data[:start] + bytes([data[start] ^ 1 << int(rng.integers(8))]) + data[start + 1 :]
            case 1:
                data = data[:start] + rng.bytes(end - start if end - start < 40 else 1) + data[end:]
            case 2:
                data = data[:start] + data[end:]
            case 3:
                data = data[:start] + repeated(data[start:end], int(rng.choice([2, 3, 100, 10_000]))) + data[end:]
            case 4:
                place = int(rng.integers(0, len(data) + 1))
                data = data[:place] + data[start:end] + data[place:]
            case 5:
                data = data[:start] + token * int(rng.choice([1, 1, 1, 2, 100, 10_000])) + data[start:]
            case 6:
                data = data[:start] + token + data[end:]
            case _:
                data = data[:start]
        data = data[:MOST_BYTES]
    return data


ODD = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 0.0, -0.0, 0.5, 1e-300, 1.7e308,
    math.nan, math.inf, -math.inf, "", " ", "a", "nan", "\0", "\n", "\ud7ff", "\N{GRINNING FACE}", "x" * 5000, "%Y", "%",
    "../x", "/etc/passwd", "=1+1", "Europe/Paris", "../../etc/localtime", "int64", "float16", [], {}, [[]], [{}], {"": None},
    [0] * 5000, list(range(3000)), [(2**61 - 1) * i for i in range(3000)], [f"c{i}" for i in range(3000)], {f"k{i}": i for i in range(3000)},
)  # fmt: skip


def nodes(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from nodes(value, (*path, key))


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def changed_tree(tree: Any, rng: Random) -> Any:
    """Change a few values of plain data: other types, odd numbers, parts that are gone, doubled, renamed or of another place."""
    tree = copy.deepcopy(tree)
    for _ in range(int(rng.geometric(0.5))):
        places = [path for path in nodes(tree) if path]
        if not places:
            return ODD[rng.integers(len(ODD))]
        path = places[rng.integers(len(places))]
        owner, key = at(tree, path[:-1]), path[-1]
        value = owner[key]
        match rng.integers(9):
            case 0 | 1:
                owner[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
            case 2:
                owner[key] = copy.deepcopy(at(tree, places[rng.integers(len(places))]))
            case 3:
                del owner[key]
            case 4 if isinstance(owner, dict):
                name = str(rng.choice(["", "name", "x", "cells", str(key) + "s", "\0", "continuous"]))
                owner[name] = copy.deepcopy(value)
            case 5 if isinstance(owner, list):
                owner[key:key] = copy.deepcopy([value] * int(rng.choice([1, 2, 100])))
            case 6 if type(value) in (int, float):
                steps = [
                    lambda x: x + 1,
                    lambda x: -x,
                    lambda x: x * 2,
                    float,
                    lambda x: x * 10**9,
                    lambda x: x - 1,
                    str,
                    bool,
                ]
                with contextlib.suppress(OverflowError):
                    owner[key] = steps[rng.integers(len(steps))](value)
            case 7 if isinstance(value, str | bytes):
                cut, more = int(rng.integers(len(value) + 1)), value[:1] * int(rng.choice([1, 8, 3000]))
                owner[key] = [value[:cut], value[cut:], value + more, value[::-1], value * 2, value.upper()][
                    rng.integers(6)
                ]
            case 8 if isinstance(value, bytes) and value:
                made = bytearray(value)
                for _ in range(int(rng.integers(1, 9))):
                    made[rng.integers(len(made))] = int(rng.choice([0, 1, 127, 128, 240, 255]))
                owner[key] = bytes(made)
            case _:
                owner[key] = [copy.deepcopy(value)]
    return tree


# ------------------------------------------------------------------------------------------ the four readers


def rows(n: int = 60) -> pd.DataFrame:
    made = patients(n)
    return made.assign(born=made["born"].dt.strftime("%d/%m/%Y"))


METADATA: dict[str, Any] = {**OF_PATIENTS, "datetime": [{"name": "born", "format": "%d/%m/%Y"}]}
JOBS: dict[str, Any] = {
    "version": 1,
    "defaults": {"synthesizer": {"random_state": 42}, "sample": {"seed": 1}},
    "jobs": [
        {"name": "rows", "data": "rows.csv", "metadata": METADATA, "generator_filepath": "out/rows.pkl", "holdout": 0.2,
         "synthesizer": {"epochs": 3, "batch_size": 50, "compress_dims": [8, 8]},
         "report": "out/report.html",
         "sample": [{"rows": 10, "output": "out/new.csv", "conditions": {"sex": "F", "low": {">=": 90}, "stage": ["I", "II"]}}]},
        {"name": "more", "data": "rows.csv", "metadata": "infer", "generator_filepath": "out/more.pkl",
         "sample": {"rows": 10, "output": "out/more.parquet"}},
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """How good files of one format are made and changed, and what opens one.

    Args:
        suffix: What their names end in.
        make: The ``i``-th mutant, from a folder that :func:`prepare` filled.
        open: Opens a file, and uses what it gives.
    """

    suffix: str
    make: Callable[[Path, Random], bytes]
    open: Callable[[Path], object]


#: What means something to each reader, parted by blanks; a blank itself is written ``_``.
_PICKLE = (
    rb"\x80\x05 } ] ( u e a . N \x88 \x89 K\x01 M\xff\xff J\xff\xff\xff\x7f \x8a\x08 G\x7f\xf8\0\0\0\0\0\0 \x8c\x01a X\x01 "
    rb"B\xff\xff\xff\xff C\x01a c R \x94 h\0 \x95 \x8c\x06sha256"
)
_JSON = rb"""{ } [ ] , : " null 1e999 -0 NaN "\\ud800" \xef\xbb\xbf \xff "a": //_x 0.1e-5 1e5 1111111111111111111111111111111111"""
_YAML = (
    rb"""\n __ -_ :_ &a_ *a_ !!python/object:os.system_ <<:_ ?_ |\n >\n { [ } ] ' " ---\n %YAML_1.1\n # \t 0x1f 1:30 2020-01-01 """
    rb"NO \x85 \xe2\x80\xa8 \0 ...\n 9999999999999999999999999999999999 1e99 .inf ~ \xff"
)
_CSV = (
    rb""", \n \r \r\n " "" ' '= =1+1 ; \t \0 \xef\xbb\xbf \xff \xe2\x80\x8b nan 1e999 - True 31/02/2020 \x1f\x8b PAR1 _ """
    rb"99999999999999999999999999999999999999"
)


def tokens(text: bytes) -> tuple[bytes, ...]:
    return tuple(word.replace(b"_", b" ").decode("unicode_escape").encode("latin-1") for word in text.split())


def _generator(folder: Path, rng: Random) -> bytes:
    name = str(rng.choice(["autoregressive", "independent"]))
    path = folder / f"{name}.pkl"
    with contextlib.suppress(Exception):  # plain data that no file can hold, or a file without the place of a digest
        if rng.random() < 0.6:
            content = changed_tree(read_artifact(path), rng)
            return pickles.signed(bytes(plain.encode({**content, "sha256": "0" * 64})))
        data = path.read_bytes()
        return pickles.signed(changed_bytes(data[:-77], rng, tokens(_PICKLE)) + data[-77:])
    return changed_bytes(path.read_bytes(), rng, tokens(_PICKLE))


def _json(folder: Path, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return json.dumps(changed_tree(METADATA, rng), indent=rng.choice([None, 1])).encode()[:MOST_BYTES]
    return changed_bytes(json.dumps(METADATA, indent=1).encode(), rng, tokens(_JSON))


def _yaml(folder: Path, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return str(yaml.safe_dump(changed_tree(JOBS, rng), allow_unicode=bool(rng.integers(2)))).encode(
            "utf-8", "replace"
        )
    return changed_bytes(yaml.safe_dump(JOBS, sort_keys=False).encode(), rng, tokens(_YAML))


def _csv(folder: Path, rng: Random) -> bytes:
    text = io.StringIO()
    table = rows(int(rng.choice([1, 5, 60]))).astype(object)
    for _ in range(int(rng.integers(3))):
        odd = ODD[rng.integers(len(ODD))]
        table.iloc[int(rng.integers(len(table))), int(rng.integers(table.shape[1]))] = str(odd)[:20_000]
    writer = csv.writer(text, quoting=int(rng.integers(4)), escapechar="\\")
    writer.writerows([table.columns, *table.to_numpy().tolist()])
    data = changed_bytes(text.getvalue().encode("utf-8", "replace"), rng, tokens(_CSV))
    if rng.random() < 0.2:
        data = changed_bytes(gzip.compress(data), rng, tokens(_CSV)) if rng.random() < 0.5 else gzip.compress(data)
    return data


def open_generator(path: Path) -> None:
    synth = TVAESynthesizer.load(path)
    with used():
        try:
            assert len(synth.sample(5, random_state=1)) == 5
        except ConditionError as error:  # what is learnt keeps no relation that was changed: told, and no row is wrong
            if "rows broke" not in str(error):
                raise
        synth.card()
        synth.save(path.with_suffix(".again"))


def open_json(path: Path) -> None:
    metadata = Metadata.load(path)
    with used():
        assert Metadata.from_dict(metadata.to_dict()) == metadata
        metadata.save(path.with_suffix(".again"))
        assert Metadata.load(path.with_suffix(".again")) == metadata


def open_yaml(path: Path) -> None:
    load_jobs([path])


def open_csv(path: Path) -> None:
    zipped = path.with_suffix(".csv.gz")
    if path.read_bytes()[:2] == b"\x1f\x8b":
        path = path.rename(zipped)
    try:
        table = read_table(path)
        with contextlib.suppress(CloverError):
            read_table(path, Metadata.of(METADATA), missing=("", "NA"))
        with used():
            assert table.empty or Metadata.infer(table)
    finally:
        zipped.unlink(missing_ok=True)


class BrokenError(Exception):
    """What was opened does not work."""


@contextlib.contextmanager
def used() -> Iterator[None]:
    """Tell an error of ours in the use of what was opened from a refusal to open it."""
    try:
        yield
    except CloverError as error:
        raise BrokenError(f"{type(error).__name__}: {error}") from error


READERS = {
    "generator": Reader(".pkl", _generator, open_generator),
    "json": Reader(".json", _json, open_json),
    "yaml": Reader(".yaml", _yaml, open_yaml),
    "csv": Reader(".csv", _csv, open_csv),
}


def prepare(reader: str, folder: Path) -> None:
    """Write the good files, and import what is imported late: that is no memory of an attack."""
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    rows().to_csv(folder / "rows.csv", index=False)
    (folder / "good.yaml").write_text(yaml.safe_dump(JOBS))
    (folder / "good.json").write_text(json.dumps(METADATA))
    for decoder in ("autoregressive", "independent") if reader == "generator" else ():
        path = folder / f"{decoder}.pkl"
        path.unlink(missing_ok=True)
        how: dict[str, Any] = {"compress_dims": (8, 8), "decompress_dims": (8, 8), "embedding_dim": 4, "min_count": 2}
        if decoder == "autoregressive":
            how["privacy"] = "none"
        TVAESynthesizer(rows(), METADATA, 1, epochs=1, decoder=decoder, verbose=False, **how).fit().save(path)
        open_generator(path)
    open_json(folder / "good.json")
    open_csv(folder / "rows.csv")
    assert load_jobs([folder / "good.yaml"])
    # Errors, too, import late.
    for name, opens in (
        ("bad.pkl", open_generator),
        ("bad.json", open_json),
        ("bad.yaml", open_yaml),
        ("bad.csv", open_csv),
    ):
        (folder / name).write_bytes(b"{\xff")
        with contextlib.suppress(CloverError):
            opens(folder / name)


# ------------------------------------------------------------------------------------------ tries, counted in a child


LATE, LARGE = "refused late", "refused with much memory"


def peak() -> float:
    """Return the most megabytes that this process held since they were last counted."""
    found = Path("/proc/self/status").read_text()
    return int(found.split("VmHWM:")[1].split()[0]) / 1024


def tried(reader: Reader, path: Path, data: bytes) -> dict[str, Any]:
    """Write and open one file; return how it ended, with seconds of processor time and megabytes."""
    path.write_bytes(data)
    Path("/proc/self/clear_refs").write_text("5")  # counts the peak anew
    before, started, where = peak(), time.process_time(), ""
    try:
        reader.open(path)
        end = "works"
    except CloverError:
        end = "refused"
    except BaseException as error:
        end, where = f"foreign {type(error).__name__}", "".join(traceback.format_exception(error))[-1500:]
    return {"end": end, "seconds": time.process_time() - started, "megabytes": peak() - before, "where": where}


def fault_of(told: dict[str, Any]) -> str | None:
    """Return what is wrong with the end of a try; ``None`` for a refusal in time and for what works."""
    if told["end"] == "refused" and told["seconds"] > MOST_SECONDS:
        return LATE
    if told["end"] == "refused" and told["megabytes"] > MOST_MEGABYTES:
        return LARGE
    return None if told["end"] in ("refused", "works") else str(told["end"])


def child(reader: Reader, folder: Path, seed: int, start: int, end: int, pipe: int) -> None:
    """Try some files, and write a line for each; the process is the limit of what they may take."""
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + 4 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for i in range(start, end):
        path = folder / f"try{reader.suffix}"
        data = reader.make(folder, np.random.default_rng([seed, i]))
        told = tried(reader, path, data)
        if fault_of(told) in (LATE, LARGE):  # a busy machine, or memory that was never given back: the best of three
            told = min((told, *(tried(reader, path, data) for _ in range(2))), key=lambda each: each["seconds"])
        os.write(pipe, (json.dumps(told) + "\n").encode())


def batch(reader: Reader, folder: Path, seed: int, start: int, n: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield how tries ended, from a process of their own: one that hangs or dies ends them, and is the last."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child(reader, folder, seed, start, start + n, write_end)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write_end)
    i, text = start, b""
    while select.select([read_end], [], [], HANG_SECONDS)[0] and (found := os.read(read_end, 2**16)):
        *lines, text = (text + found).split(b"\n")
        for line in lines:
            yield i, json.loads(line)
            i += 1
    os.close(read_end)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if i < start + n:
        end = "hangs or dies by " + (signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "itself")
        yield i, {"end": end, "seconds": 0.0, "megabytes": 0.0, "where": ""}


def fuzz(name: str, folder: Path, seed: int, minutes: float) -> dict[str, Any]:
    """Try files for some minutes, on from where the last run with this seed ended.

    Returns:
        ``next``, the number of the next try; ``ends``, how many ended how; ``slowest`` and ``largest`` of all refusals;
        ``faults``: for each kind, how many and the first few.
    """
    reader, place = READERS[name], folder / f"{name}-{seed}.json"
    known: dict[str, Any] = {"next": 0, "ends": {}, "slowest": 0.0, "largest": 0.0, "faults": {}}
    if place.exists():
        known = json.loads(place.read_text())
    ends, until = Counter(known["ends"]), time.monotonic() + 60 * minutes
    prepare(name, folder / name)
    while time.monotonic() < until:
        for i, told in batch(reader, folder / name, seed, known["next"], 200):
            ends[told["end"]] += 1
            if told["end"] == "refused":
                known["slowest"] = max(known["slowest"], told["seconds"])
                known["largest"] = max(known["largest"], told["megabytes"])
            if fault := fault_of(told):
                kind = known["faults"].setdefault(f"{fault}: {told['where'][-200:]}", {"n": 0, "first": []})
                kind["n"] += 1
                if len(kind["first"]) < 3:
                    kind["first"].append({"try": i, **told})
                    data = reader.make(folder / name, np.random.default_rng([seed, i]))
                    (folder / f"{name}-{seed}-{i}{reader.suffix}").write_bytes(data)
            known["next"] = i + 1
        known["ends"] = dict(ends)
        place.write_text(json.dumps(known, indent=1))
    return known


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="where counts and faulty files are kept")
    given = parser.parse_args()
    result = fuzz(given.reader, given.folder, given.seed, given.minutes)
    print(json.dumps(result, indent=1))
    sys.exit(bool(result["faults"]))
