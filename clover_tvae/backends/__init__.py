"""What learns a table: the native engine, or SDV's TVAE. Each is imported when it is first asked for."""

from __future__ import annotations

from clover_tvae.backends.fingerprint import made_from
from clover_tvae.backends.generator import Generator, card_of_file
from clover_tvae.backends.keeping import keep_relations
from clover_tvae.backends.making import BACKENDS, load_backend, make_backend
from clover_tvae.backends.protocol import Backend, ReadsRows, reader
from clover_tvae.backends.teaching import learnt_apart, of_a_teacher

__all__ = [
    "BACKENDS", "Backend", "Generator", "ReadsRows", "card_of_file", "keep_relations", "learnt_apart", "load_backend",
    "made_from", "make_backend", "of_a_teacher", "reader",
]  # fmt: skip
