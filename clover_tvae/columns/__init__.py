"""One reading of a pandas column: what its cells are, its numbers, dates and texts, and how it is written back."""
