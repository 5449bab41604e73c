"""Files that are either the old one or the new one, whole, and paths that stay inside their folder.

This module knows bytes and paths, and nothing of tables, metadata or generators.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from clover_tvae.errors import CloverError, ConfigError, MissingExtraError, TableFileError, did_you_mean, package

fcntl: Any = None  # Windows has none: there, what a killed writer leaves stays
with contextlib.suppress(ImportError):
    import fcntl

#: Numbers of a file that may share a hash: Python hashes an int modulo 2^61 - 1, and a table of thousands that share one
#: takes minutes to fill.
MOST_OF_ONE_HASH = 100
#: How a folder begins that holds copies of files of object stores (``tables.places``), and a copy's name: scheme, rest of the URL.
COPIES = "clover-tvae-copies-"
_COPY = re.compile(rf"[^\s'\"]*{COPIES}[0-9a-f]{{16}}[\\/](s3|gs|abfss?)[\\/]")
#: Names of devices on Windows, whatever follows a dot: a file that is called so cannot go there.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE | re.DOTALL)


def not_there(path: str | Path) -> str:
    """Say that there is no file at a path, and which file beside it has nearly its name.

    Example:
        >>> not_there("no/such/rows.csv")
        'the file does not exist'
    """
    beside: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        beside = os.listdir(Path(path).parent)
    return "the file does not exist" + did_you_mean(Path(path).name, beside)


def as_called(text: str) -> str:
    """Return a text in which copies of files of a store are called by their URLs.

    Example:
        >>> as_called("/tmp/clover-tvae-copies-0123456789abcdef/s3/clinic/visits.csv: the file is broken")
        's3://clinic/visits.csv: the file is broken'
    """
    return _COPY.sub(r"\1://", text)


def without_secrets(text: str) -> str:
    """Return what was meant for a URL without its user and its options, which may hold a password; a path as it is.

    Example:
        >>> without_secrets("s3://someone:secret@clinic/may.csv?region=eu"), without_secrets("rows/may.csv")
        ('s3://clinic/may.csv', 'rows/may.csv')
    """
    if (found := re.match(r"([A-Za-z][\w+.-]+:/+)(.*)", text, re.DOTALL)) is None:
        return text
    scheme, rest = found.groups()
    if "@" in rest.partition("?")[2]:  # nobody can say where a password ends
        return f"{scheme}..."
    return scheme + re.split("[?#]", rest.rpartition("@")[2])[0]


def unwritable(path: Path) -> str | None:
    """Say why no file can be written at a path, as far as its name and what is there tell; ``None`` where one can.

    Example:
        >>> unwritable(Path("nul.csv"))
        "must be a file name that Windows can hold, found 'nul.csv', the name of a device"
    """
    if os.path.isdir(path):
        return "there is a folder of this name"
    if os.path.exists(path) and not os.path.isfile(path):
        return "must be a file, found a device or a pipe of this name"
    if _RESERVED.fullmatch(path.name):
        return f"must be a file name that Windows can hold, found {path.name!r}, the name of a device"
    if path.suffix.lower() == ".xlsx":
        try:
            package("xlsxwriter", "an Excel file")
        except MissingExtraError as error:
            return str(error)
    return None


def closed(path: Path) -> str | None:
    """Say that no new file can be made at a path, as its folder, or the one that it would be made in, is closed to us."""
    folder = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    if not os.path.exists(path) and os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK):
        return f"nothing can be written in the folder {folder.name!r}"
    return None


def check_path(path: Any, name: str, *, to_write: bool = False) -> Path:
    """Return the path of a file as a ``Path``, or raise ``ConfigError``.

    Args:
        name: The parameter that it came by.
        to_write: Whether a file will be written there, which is told as far as it can be without writing it.
    """
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"must be the path of a file, found {type(path).__name__}", name)
    path = Path(path)
    folder = path.absolute().parent
    if to_write and not folder.is_dir():
        raise ConfigError(f"the folder of {str(path)!r} does not exist; make it first", name)
    if to_write and path.is_dir():
        raise ConfigError(f"{str(path)!r} is a folder; give the name of a file", name)
    if to_write and not os.access(folder, os.W_OK):
        raise ConfigError(f"the folder of {str(path)!r} cannot be written to", name)
    if to_write and (fault := unwritable(path)):
        raise ConfigError(fault, name)
    return path


def atomic_write(
    path: str | Path,
    write: Callable[[BinaryIO], object],
    mode: int = 0o600,
    verify: Callable[[Path], object] | None = None,
) -> None:
    """Write a file so that a reader, a crash or a full disk meets the old file or the new one, never a part.

    The bytes go to a file beside the target, are flushed to the disk, and take the target's name in one step. If
    anything fails, the old file stands and nothing is left beside it; what a writer that was killed left beside it goes
    with the next one. Of two writers, the later one wins, whole.

    Args:
        path: The target. A symbolic link is followed.
        write: Called once with the open file.
        mode: Permissions of the new file, less the process's umask.
        verify: Called with the path of the finished file before it takes the target's name; what it raises stops that.

    Raises:
        TableFileError: The file cannot be written. What ``write`` and ``verify`` raise themselves, other than a plain
            ``OSError``, passes through.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     atomic_write(f"{folder}/note.txt", lambda file: file.write(b"whole"))
        ...     Path(folder, "note.txt").read_bytes()
        b'whole'
    """
    try:
        target = Path(os.path.realpath(path))
        if fault := unwritable(target):
            raise TableFileError(fault, str(path))
        # 200 bytes of name leave room for the rest under the usual limit of 255.
        stem = os.fsencode(target.name)[:200].decode(sys.getfilesystemencoding(), "ignore")
        remove_left(target.parent, re.escape(f".{stem}.") + "[0-9a-f]{16}[.]tmp")
        temporary = target.with_name(f".{stem}.{secrets.token_hex(8)}.tmp")
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from error
    try:
        # Made inside this block, in one call: a Ctrl-C right after it still finds the file to remove.
        with contextlib.ExitStack() as held, open(temporary, "xb", opener=partial(os.open, mode=mode)) as file:
            # The lock is held until the file has its name, and nobody takes it for what a dead writer left.
            is_gone = held.enter_context(locked(os.dup(file.fileno()))) is False or not temporary.exists()
            if not is_gone:
                write(file)
                file.flush()
                os.fsync(file.fileno())
                file.close()  # before it is renamed, as Windows wants it
                if verify is not None:
                    verify(temporary)
                os.replace(temporary, target)
        if is_gone:  # another writer came between the two lines above
            atomic_write(path, write, mode, verify)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, CloverError):
            raise _cannot_write(path, error) from error
        raise
    _fsync_folder(target.parent)


def _cannot_write(path: str | Path, error: Exception) -> TableFileError:
    reason = getattr(error, "strerror", None) or "the path is not valid"
    return TableFileError(f"cannot be written: {reason}; whatever was there before still stands", str(path))


@contextlib.contextmanager
def locked(place: Path | int, *, make: bool = False) -> Iterator[bool | None]:
    """Hold the lock of a file or a folder, or of an open descriptor, which is closed; it ends with the process, however that ends.

    Args:
        place: The path, or the descriptor.
        make: Whether the file and its folder are made where they are not there.

    Yields:
        Whether the lock is held: ``False`` where another process has it, or has taken the file away since it was opened;
        ``None`` where the system has no locks, or the file cannot be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)) as first, locked(Path(folder)) as second:
        ...     first, second
        (True, False)
    """
    descriptor, is_held = None, None
    try:
        with contextlib.suppress(OSError):
            descriptor = place if isinstance(place, int) else _opened(place, make)
            if fcntl is not None:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    is_held = isinstance(place, int) or os.path.samestat(os.fstat(descriptor), place.stat())
                except (BlockingIOError, FileNotFoundError):
                    is_held = False
        yield is_held
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(path: Path, make: bool) -> int:
    while make:
        with contextlib.suppress(FileNotFoundError):  # whoever takes away the last file of a folder may take the folder
            with contextlib.suppress(FileExistsError):  # not exist_ok, which may find no folder a moment later
                path.parent.mkdir(parents=True)
            return os.open(path, os.O_RDONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))


def remove_left(folder: Path, pattern: str) -> int:
    """Remove the files and folders whose names match and whose lock nobody holds, and count them: their writers were killed."""
    n_removed = 0
    with contextlib.suppress(OSError):
        for name in filter(re.compile(pattern).fullmatch, os.listdir(folder)):
            left = folder / name
            with locked(left) as is_held, contextlib.suppress(OSError):
                if is_held and left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                elif is_held:
                    left.unlink()
                n_removed += bool(is_held)
    return n_removed


def file_digest(path: Path | None) -> str | None:
    """Return the sha256 of a file, ``None`` if it is not there."""
    if path is None or not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _fsync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: str | Path, text: str, mode: int = 0o600) -> None:
    """Write text as UTF-8, atomically; what UTF-8 cannot say becomes an escape."""
    atomic_write(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")), mode)


def read_text(path: Path, most_bytes: int) -> str:
    """Return the text of a UTF-8 file.

    Raises:
        TableFileError: It cannot be read, is larger than ``most_bytes``, or is not UTF-8; with the line of what is not.
    """
    try:
        if not path.is_file():
            what = "the file is a folder or a device, not a file" if path.exists() else not_there(path)
            raise TableFileError(what, str(path))
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise TableFileError(f"the file cannot be read: {reason}", str(path)) from None
    if len(content) > most_bytes:
        raise TableFileError(f"the file is larger than {most_bytes:,} bytes", str(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableFileError("the file is not UTF-8 text; save it as UTF-8", f"{path}:{line}:1") from None


def inside(root: str | Path, path: str | Path) -> Path:
    r"""Return ``path`` below ``root``, resolved, and refuse one that would leave it.

    Args:
        root: The folder that the path must stay in.
        path: A relative path, written with ``/`` (or ``\`` on Windows). It need not exist.

    Raises:
        TableFileError: The path is absolute, a URL, holds ``..`` or a NUL, or leaves ``root`` through a symbolic link.

    Example:
        >>> inside("/data", "out/rows.csv").as_posix()
        '/data/out/rows.csv'
        >>> inside("/data", "../secret")
        Traceback (most recent call last):
        ...
        clover_tvae.errors.TableFileError: ../secret: holds '..', which could leave the folder; give a path below it
    """
    text = os.fspath(path)

    def refuse(reason: str) -> TableFileError:
        return TableFileError(f"{reason}; give a path below it", ascii(text)[1:-1])

    if not text or "\0" in text:
        raise refuse("is empty or holds a NUL character, which is no path in the folder")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):
        raise refuse("is a URL, not a path in the folder")
    if re.match(r"[A-Za-z]:|[\\/~]", text) or Path(text).is_absolute():
        raise refuse("is absolute, outside the folder")
    if ".." in re.split(r"[\\/]", text):
        raise refuse("holds '..', which could leave the folder")
    try:
        base = Path(root).resolve()
        resolved = (base / text).resolve()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            resolved.lstat()
    except (OSError, ValueError, RuntimeError):
        raise refuse("cannot be resolved in the folder (a loop of links, or too long)") from None
    if not resolved.is_relative_to(base):
        raise refuse("leaves the folder through a symbolic link")
    return resolved


def unmoved(path: Path, called: str | None = None) -> Path:
    """Return a path that :func:`inside` gave, and refuse it if a symbolic link made since then leads it elsewhere.

    Args:
        path: The path, resolved when it was checked.
        called: What messages call it; its name if ``None``.

    Raises:
        TableFileError: It leads elsewhere now.
    """
    try:
        moved = path.resolve() != path
    except (OSError, RuntimeError):  # a loop of links
        moved = True
    if moved:
        text = "a symbolic link made since the check leads it elsewhere; remove the link"
        raise TableFileError(text, called or path.name)
    return path
