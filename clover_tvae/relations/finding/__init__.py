"""The finder of relations: candidates from a sample, confirmed on all rows, tested against chance, told once."""
