"""Where the files of a folder lie: on this machine, or in an object store (``s3://``, ``gs://``, ``abfs://``) that pyarrow opens.

A store finds its credentials by its own rules: environment, profile, role. A URL that holds one is refused, and no message
tells what a store answered beyond the name of its error.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pyarrow import ArrowException, fs

from clover_tvae.errors import ConfigError, TableFileError
from clover_tvae.files import COPIES, file_digest, inside, locked, remove_left, without_secrets

__all__ = ["Copies", "Folder", "Place", "Store", "allowed_url", "fetched", "is_url", "place_of"]

_URL = re.compile(r"(s3|gs|abfs|abfss)://", re.IGNORECASE)
#: A file that is written, and removed if that is allowed, to find out whether anything can be written.
_PROBE = ".clover-tvae-may-write"
#: What may stand behind the question mark: where the store is, never who asks.
_OPTIONS = ("endpoint_override", "region", "scheme")
#: How stores call what is wrong (pyarrow hands it on), and what it means.
_ANSWERS = {
    r"ACCESS_DENIED.*No response body": "its credentials are wrong, or may not do this",
    r"ACCESS_DENIED|AccessDenied|PERMISSION_DENIED|AuthorizationPermissionMismatch": "its credentials may not do this",
    r"INVALID_ACCESS_KEY|InvalidAccessKey|SIGNATURE|INVALID_CLIENT_TOKEN|UNAUTHENTICATED|HTTP response code 40[13]|AuthenticationFailed|MISSING_AUTHENTICATION": "its credentials are wrong, or there are none",
    r"NO_SUCH_BUCKET|NoSuchBucket|ContainerNotFound": "there is no such bucket",
    r"Cannot parse URI|Missing bucket name": "its URL cannot be read",
}
_SILENCE = r"NETWORK_CONNECTION|UNAVAILABLE|curlCode|resolve host|DEADLINE|get a new connection"


def is_url(text: object) -> bool:
    """Tell a place of an object store from a path.

    Example:
        >>> is_url("s3://bucket/rows"), is_url("rows/")
        (True, False)
    """
    return isinstance(text, str) and _URL.match(text) is not None


def allowed_url(text: str, places: Sequence[str]) -> str:
    """Return the whole URL of a file that somebody else names, if it lies under a place that the user allows.

    Args:
        text: The URL. It says nothing of the store: rows would go where its writer wants.
        places: URLs of folders; what one says of the store behind its question mark holds for all files under it.

    Raises:
        ConfigError: It lies elsewhere.

    Example:
        >>> allowed_url("s3://clinic/visits/may.csv", ["s3://clinic/visits?region=eu-west-1"])
        's3://clinic/visits/may.csv?region=eu-west-1'
    """
    for place in places:
        folder, mark, options = place.partition("?")
        is_plain = not {"?", "#"} & {*text} and not {".", ".."} & {*unquote(text).split("/")}
        if folder.rstrip("/").partition("://")[2] and is_plain and text.startswith(folder.rstrip("/") + "/"):
            return text + mark + options
    known = f"allowed are {', '.join(place.partition('?')[0] for place in places)}" if places else "none is allowed"
    cure = f"--allow-url lets jobs use those under a place, and {known}"
    raise ConfigError(f"is a URL, not a path in the folder ({without_secrets(text)!r}); {cure}", "job")


class Place(Protocol):
    """A folder, wherever it is."""

    def names(self) -> set[str]:
        """Return the names of the files in it; none where it is not there."""

    def written(self, name: str) -> Any:
        """Return a context whose path is to be written; at its end the file is there, whole."""

    def digest(self, name: str) -> str:
        """Return the sha256 of a file."""


@dataclass(frozen=True)
class Folder:
    """A folder of this machine; whoever writes its files writes them whole or not at all."""

    path: Path

    def names(self) -> set[str]:
        return {file.name for file in self.path.iterdir()} if self.path.is_dir() else set()

    @contextmanager
    def written(self, name: str) -> Iterator[Path]:
        yield self.path / name

    def digest(self, name: str) -> str:
        return str(file_digest(self.path / name))


@dataclass(frozen=True)
class Store:
    """A place of an object store. A file of it is there once all of it is: no other name is needed before.

    Raises:
        ConfigError: The URL holds credentials, or cannot be read.
        TableFileError: The store refuses, or does not answer; as all methods do.
    """

    url: str

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
        except ValueError:
            raise ConfigError("cannot be read: a bracket stands in the name of its bucket", "the URL") from None
        if not self.url.isprintable():
            raise ConfigError("must hold no control characters", f"{parts.scheme}://")
        asked = [option.partition("=")[0] for option in parts.query.split("&") if option]
        # The account of abfs://container@account stands there, too.
        has_user = "@" in unquote(parts.query) or ("@" in parts.netloc and not parts.scheme.startswith("abfs"))
        if has_user or parts.password or {*asked} - {*_OPTIONS}:
            text = "must hold no credentials: the store finds them in the environment, a profile or a role"
            raise ConfigError(text, f"{parts.scheme}://")

    def _system(self) -> tuple[Any, str]:
        """Return pyarrow's file system of the store, and the path in it."""
        scheme, mark, rest = self.url.partition("://")
        found: tuple[Any, str] = fs.FileSystem.from_uri(scheme.lower() + mark + quote(rest, safe="%/:?=&@+,;~!$'()*[]"))
        return found

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        try:
            yield self._system()
        except FileNotFoundError:
            raise TableFileError("the file does not exist", self.called) from None
        except (OSError, ArrowException) as error:
            if isinstance(error, TableFileError):
                raise
            if getattr(error, "errno", None) and error.strerror:  # not the store's: those have no number
                raise TableFileError(f"its copy on this machine: {error.strerror}", self.called) from None
            if re.search(_SILENCE, str(error), re.IGNORECASE):
                raise TableFileError(f"nobody answers at {self.host}", self.called) from None
            told = (said for pattern, said in _ANSWERS.items() if re.search(pattern, str(error), re.IGNORECASE))
            raise TableFileError(f"the store refuses: {next(told, type(error).__name__)}", self.called) from None

    @property
    def called(self) -> str:
        """The URL without its options."""
        return self.url.partition("?")[0]

    @property
    def host(self) -> str:
        """Where the store is asked: as its URL or the environment says, else at its maker's."""
        parts = urlsplit(self.url)
        said = parse_qs(parts.query).get("endpoint_override", [""])[0]
        of_s3 = os.getenv("AWS_ENDPOINT_URL_S3") or os.getenv("AWS_ENDPOINT_URL") or "s3.amazonaws.com"
        said = said or {"s3": of_s3, "gs": "storage.googleapis.com"}.get(parts.scheme, parts.netloc)
        return said.rpartition("@")[2].rpartition("//")[2].partition("/")[0]

    @property
    def parent(self) -> Store:
        """The folder of the file."""
        place, mark, options = self.url.partition("?")
        return Store(place.rstrip("/").rpartition("/")[0] + mark + options)

    def kind(self) -> Literal["file", "folder"] | None:
        """Tell a file from a folder; ``None`` where there is neither."""
        with self._opened() as (store, path):
            found = store.get_file_info(path.rstrip("/")).type
        return {fs.FileType.File: "file", fs.FileType.Directory: "folder"}.get(found)  # type: ignore[return-value]

    def check_writable(self) -> None:
        """Find out whether files can be written to this folder, before hours are spent on them; an empty one is written."""
        with self.written(_PROBE) as file:
            file.touch()
        with suppress(TableFileError):  # who may write need not be allowed to remove
            self.remove(_PROBE)

    def fetch(self, target: Path) -> None:
        """Copy the file, or all files of the folder, to a path of this machine; what is not there is not copied."""
        with self._opened() as (store, path):
            path = path.rstrip("/")
            found = [store.get_file_info(path)]
            if found[0].type == fs.FileType.Directory:
                found = store.get_file_info(fs.FileSelector(path, recursive=True))
            for info in found:
                beyond = info.path[len(path) :].strip("/")
                if info.is_file and not (beyond and info.base_name.startswith(".")):
                    copy = inside(target, beyond) if beyond else target
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    private = partial(os.open, mode=0o600)
                    with store.open_input_stream(info.path) as source, open(copy, "wb", opener=private) as file:
                        shutil.copyfileobj(source, file, 2**22)

    def put(self, source: Path, name: str = "") -> None:
        """Write the file, or one of the folder, from one of this machine, whole or not at all."""
        here = fs.LocalFileSystem()
        with self._opened() as (store, path):
            try:  # one call, which no signal cuts short: a stream of Python's would end as if it were whole
                fs.copy_files(str(source), _joined(path, name), source_filesystem=here, destination_filesystem=store)
            except FileNotFoundError:
                raise TableFileError("the store refuses: there is no such bucket", self.called) from None

    def names(self) -> set[str]:
        with self._opened() as (store, path):
            found = store.get_file_info(fs.FileSelector(path, allow_not_found=True))
            return {info.base_name for info in found if info.is_file}

    @contextmanager
    def written(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            yield (file := Path(folder, name))
            self.put(file, name)

    def digest(self, name: str = "") -> str:
        digest = hashlib.sha256()
        with self._opened() as (store, path), store.open_input_stream(_joined(path, name)) as file:
            while block := file.read(2**22):
                digest.update(block)
        return digest.hexdigest()

    def read(self, name: str, most_bytes: int = 2**26) -> bytes:
        """Return what a file holds, the beginning of a larger one."""
        with self._opened() as (store, path), store.open_input_stream(_joined(path, name)) as file:
            return file.read(most_bytes)

    def remove(self, name: str) -> None:
        """Take a file away, or itself where there is no name."""
        with self._opened() as (store, path):
            store.delete_file(_joined(path, name))


def _joined(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}" if name else path


def place_of(text: str | Path) -> Folder | Store:
    """Return the folder of a path or a URL."""
    return Store(text) if isinstance(text, str) and is_url(text) else Folder(Path(text))


class Copies:
    """Copies of files of object stores, on this machine: what reads and writes files reads and writes those of stores, too.

    They lie in a folder (mode 0700, files 0600) which ends with this object, or with :meth:`close`; that of a process which
    was killed goes with the next one's.
    """

    def __init__(self) -> None:
        self._whole: set[Path] = set()
        self._targets: dict[Path, Store] = {}
        self._folder: Path | None = None

    def here(self, text: str | Path) -> str:
        """Return the path of a file, or of a folder, that may be a URL: there is nothing at it where the store has nothing.

        Raises:
            TableFileError: The store refuses.
        """
        if not is_url(text):
            return str(text)
        store = Store(str(text))
        if (place := self.place(store)) not in self._whole:
            store.fetch(place)
            self._whole.add(place)
        return str(place)

    def target(self, text: str, *, force: bool = True) -> Path:
        """Return where to write a file that may be a URL; :meth:`put` sends it there.

        Raises:
            ConfigError: It is there already, without ``force``.
            TableFileError: Nothing can be written there.
        """
        if not is_url(text):
            return Path(text)
        store = Store(text)
        if not force and store.kind() is not None:
            raise ConfigError("the file exists; --force overwrites it", store.called)
        store.parent.check_writable()
        self._targets[place := self.place(store)] = store
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def put(self, place: Path) -> None:
        """Send a file to its store, if it has one and was written: of several workers one writes."""
        if place in self._targets and place.exists():
            self._targets[place].put(place)
            self._whole.add(place)

    def close(self) -> None:
        """Remove them."""
        if self._folder is not None:
            self._end()
        self._folder = None
        self._whole.clear()
        self._targets.clear()

    def place(self, store: Store) -> Path:
        """Return where the copy of a file, or of a folder, lies, or will lie."""
        if self._folder is None:
            above = Path(tempfile.gettempdir()).resolve()
            remove_left(above, f"{COPIES}[0-9a-f]{{16}}")
            self._folder = above / f"{COPIES}{secrets.token_hex(8)}"
            self._folder.mkdir(mode=0o700)
            held = ExitStack()
            held.enter_context(locked(self._folder))  # nobody takes it for what a dead process left
            held.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._end = weakref.finalize(self, held.close)
        scheme, _, rest = store.called.partition("://")
        return inside(self._folder, f"{scheme.lower()}/{rest}")


@contextmanager
def fetched(text: str | Path, among: Copies | None = None) -> Iterator[Path]:
    """Yield the path of a file; of one in a store, that of a copy which ends with the block, or stays ``among`` others.

    Raises:
        TableFileError: The store refuses, or has no such file.
    """
    with closing(Copies()) if among is None else nullcontext(among) as copies:
        path = Path(copies.here(text))
        if is_url(text) and not path.exists():
            raise TableFileError("the file does not exist", str(path))
        yield path
