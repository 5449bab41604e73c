"""Tables as files: CSV (plain or gzipped), Parquet and those of other programs, read and written without a silent change of any cell.

Of the metadata it asks each column's ``name``, ``kind`` and a few options. Files replace older ones atomically
(``clover_tvae.files``).

What CSV cannot say is decided here, in the open:

- Every cell is read as text first. Only the declared missing tokens are missing: ``NA`` stays text, ``007`` stays text
  where the column is a label, and where nobody says what it is.
- With metadata, ``categorical``, ``id`` and ``ignore`` columns are text (an ``id`` that is made anew as a sequence may be
  whole numbers), ``continuous`` ones numbers (a cell that is
  no number is an error, not a gap), ``boolean`` ones true and false, ``datetime`` ones text if they have a format,
  else dates. Without metadata, a column is whole numbers, numbers, true and false, or text.
- Whole numbers with gaps are ``Int64``, so that they stay whole.
- A text cell or a name that a spreadsheet would run as a formula, also behind blanks, quotes or letters that do not show,
  is written with a leading apostrophe. Numbers, and text that is a plain number, are never touched. :func:`read_table`
  takes the apostrophe off again: text comes back equal, control characters too.
- An empty text and a missing cell are the same in CSV. Parquet keeps them apart, and keeps every dtype.
"""

from __future__ import annotations

from clover_tvae.tables.database import (
    DATABASE_FILES,
    TABLE_EXISTS,
    Database,
    IfExists,
    read_database,
    row_digest,
    write_database,
)
from clover_tvae.tables.dataset import Beyond, is_beyond_memory, is_large, read_dataset, table_digest
from clover_tvae.tables.delimited import print_csv
from clover_tvae.tables.dialect import Dialect
from clover_tvae.tables.parts import parts_of
from clover_tvae.tables.table import (
    EXTENSIONS,
    MAX_BYTES,
    WRITTEN,
    column_names,
    dialect_of,
    read_as,
    read_table,
    write_table,
)
from clover_tvae.tables.to_learn import TableToLearn

__all__ = [
    "DATABASE_FILES", "EXTENSIONS", "MAX_BYTES", "TABLE_EXISTS", "WRITTEN", "Beyond", "Database", "Dialect", "IfExists",
    "TableToLearn", "column_names", "dialect_of", "is_beyond_memory", "is_large", "parts_of", "print_csv", "read_as",
    "read_database", "read_dataset", "read_table", "row_digest", "table_digest", "write_database", "write_table",
]  # fmt: skip
