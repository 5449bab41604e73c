"""Where the files of a folder lie: on this machine, or in an object store (``s3://``, ``gs://``, ``abfs://``) that pyarrow opens.

A store finds its credentials by its own rules: environment, profile, role. A URL that holds one is refused, and no message
tells what a store answered beyond the name of its error.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from clover_tvae.errors import ConfigError, TableFileError
from clover_tvae.files import file_digest

__all__ = ["Folder", "Place", "Store", "fetched", "is_url", "place_of"]

_URL = re.compile(r"(s3|gs|abfs|abfss)://", re.IGNORECASE)
#: What may stand behind the question mark: where the store is, never who asks.
_OPTIONS = ("endpoint_override", "region", "scheme")
#: How stores call what is wrong (pyarrow hands it on), and what it means.
_ANSWERS = {
    r"ACCESS_DENIED|AccessDenied|PERMISSION_DENIED|AuthorizationPermissionMismatch": "its credentials may not do this",
    r"INVALID_ACCESS_KEY|InvalidAccessKey|SIGNATURE|INVALID_CLIENT_TOKEN|UNAUTHENTICATED|HTTP response code 40[13]|AuthenticationFailed|MISSING_AUTHENTICATION": "its "
    "credentials are wrong, or there are none",
    r"NO_SUCH_BUCKET|NoSuchBucket|ContainerNotFound": "there is no such bucket",
    r"NETWORK_CONNECTION|UNAVAILABLE|curlCode|resolve host|DEADLINE": "nobody answers there",
}


def is_url(text: object) -> bool:
    """Tell a place of an object store from a path.

    Example:
        >>> is_url("s3://bucket/rows"), is_url("rows/")
        (True, False)
    """
    return isinstance(text, str) and _URL.match(text) is not None


class Place(Protocol):
    """A folder, wherever it is."""

    def names(self) -> set[str]:
        """Return the names of the files in it; none where it is not there."""
        ...

    def written(self, name: str) -> Any:
        """Return a context whose path is to be written; at its end the file is there, whole."""
        ...

    def digest(self, name: str) -> str:
        """Return the sha256 of a file."""
        ...


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
        parts = urlsplit(self.url)
        asked = [option.partition("=")[0] for option in parts.query.split("&") if option]
        # The account of abfs://container@account stands there, too.
        if ("@" in parts.netloc and not parts.scheme.startswith("abfs")) or parts.password or {*asked} - {*_OPTIONS}:
            text = "must hold no credentials: the store finds them in the environment, a profile or a role"
            raise ConfigError(text, f"{parts.scheme}://")

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        from pyarrow import ArrowException, fs

        try:
            yield fs.FileSystem.from_uri(self.url)
        except FileNotFoundError:
            raise TableFileError("the file does not exist", self.called) from None
        except (OSError, ArrowException) as error:
            if isinstance(error, TableFileError):
                raise
            told = (said for pattern, said in _ANSWERS.items() if re.search(pattern, str(error), re.IGNORECASE))
            raise TableFileError(f"the store refuses: {next(told, type(error).__name__)}", self.called) from None

    @property
    def called(self) -> str:
        """The URL without its options."""
        return self.url.partition("?")[0]

    def names(self) -> set[str]:
        from pyarrow import fs

        with self._opened() as (store, path):
            found = store.get_file_info(fs.FileSelector(path, allow_not_found=True))
            return {info.base_name for info in found if info.is_file}

    @contextmanager
    def written(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            yield (file := Path(folder, name))
            with (
                self._opened() as (store, path),
                file.open("rb") as source,
                store.open_output_stream(f"{path.rstrip('/')}/{name}") as target,
            ):
                shutil.copyfileobj(source, target, 2**22)

    def digest(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._opened() as (store, path), store.open_input_stream(f"{path.rstrip('/')}/{name}") as file:
            while block := file.read(2**22):
                digest.update(block)
        return digest.hexdigest()

    def read(self, name: str, most_bytes: int = 2**26) -> bytes:
        """Return what a file holds, the beginning of a larger one."""
        with self._opened() as (store, path), store.open_input_stream(f"{path.rstrip('/')}/{name}") as file:
            return file.read(most_bytes)

    def remove(self, name: str) -> None:
        """Take a file away."""
        with self._opened() as (store, path):
            store.delete_file(f"{path.rstrip('/')}/{name}")


def place_of(text: str | Path) -> Folder | Store:
    """Return the folder of a path or a URL."""
    return Store(text) if isinstance(text, str) and is_url(text) else Folder(Path(text))


@contextmanager
def fetched(text: str | Path) -> Iterator[Path]:
    """Yield the path of a file; of one in a store, that of a copy (mode 0600) which ends with the block.

    Raises:
        TableFileError: The store refuses, or has no such file.
    """
    if not is_url(text):
        yield Path(text)
        return
    store = Store(str(text))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, store.called.rsplit("/", 1)[-1] or "file")
        with store._opened() as (opened, path), opened.open_input_stream(path) as source, copy.open("wb") as target:
            copy.chmod(0o600)
            shutil.copyfileobj(source, target, 2**22)
        yield copy
