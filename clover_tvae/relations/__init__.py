"""Relations between the columns of a table: what they are, which rows break them, and how they are found."""
