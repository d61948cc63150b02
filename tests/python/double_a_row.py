"""Appends a table's first row to it again, like a writer that stores a record twice: for the test of compare.py itself."""

import sys

import deltalake

from tables import leave

table = deltalake.DeltaTable(sys.argv[1])
deltalake.write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")
leave()
