"""The generator file: plain data in one pickle that can be opened without running code.

The mission's generator is pickled, and a pickle can run code when it is opened. This one cannot: it holds plain data
alone, and it is read by a reader that knows nothing else (see ``plain``). One content has one file, byte for byte, so the
digest of the content is at once a digest of the file. It finds accidents, not attackers: whoever can change the
file can change the digest inside it. Keep the digest that :func:`write_artifact` returns, and hand it to
:func:`read_artifact`, where the file travels through hands that you do not trust.

The parts of the container, in their order::

    format          "clover-tvae-generator"
    format_version  2; files of version 1 are read as well
    writer          versions of the packages that wrote it
    metadata, transforms, model, training     dicts, whose inside is checked by their owners
    weights         one safetensors blob: see pack_tensors and unpack_tensors
    privacy         a dict, or None
    sha256          of the file without this entry

This module knows files, pickles and arrays. It knows no class of ours, no table, and no network: nothing in a file
names a class, a module or a path.
"""

from __future__ import annotations

from clover_tvae.artifact.container import (
    FORMAT_VERSION,
    GENERATOR,
    MAX_BYTES,
    dump_artifact,
    parse_artifact,
    read_artifact,
    write_artifact,
    writer_versions,
)
from clover_tvae.artifact.tensors import pack_tensors, unpack_tensors

__all__ = [
    "FORMAT_VERSION", "GENERATOR", "MAX_BYTES", "dump_artifact", "pack_tensors", "parse_artifact", "read_artifact",
    "unpack_tensors", "write_artifact", "writer_versions",
]  # fmt: skip
