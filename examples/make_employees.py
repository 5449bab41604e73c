"""Write the table of 5,000 employees who do not exist to a CSV file: ``python examples/make_employees.py employees.csv``.

The same table is built in as ``clover.employees``; every number behind it stands in ``clover_tvae.workflows.datasets``.
"""

from __future__ import annotations

import sys

from clover_tvae.tables import write_table
from clover_tvae.workflows import make_employees

if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "employees.csv"
    employees = make_employees()
    write_table(employees, path)
    print(f"{len(employees):,} made-up employees written to {path}")
