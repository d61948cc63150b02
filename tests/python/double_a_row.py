"""Appends a table's first row to it once more, as a writer would that stores a record twice: for the judge's own test."""

import sys

import deltalake

from tables import leave

table = deltalake.DeltaTable(sys.argv[1])
deltalake.write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")
leave()
