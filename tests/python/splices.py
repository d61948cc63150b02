"""Checks that spliced files hold what they should: for each folder, `after.parquet` must hold the rows of `before-*.parquet`, one
after the other, without the columns that `gone` names. Read by pyarrow, and by DuckDB."""

import pathlib
import sys

import duckdb
import pyarrow.parquet as pq


def values(table, name, rows):
    if name not in table.column_names:
        return [None] * rows
    return table.column(name).to_pylist()


def check(folder):
    gone = set((folder / "gone").read_text().split())
    before = [pq.read_table(path) for path in sorted(folder.glob("before-*.parquet"))]
    after = pq.read_table(folder / "after.parquet")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    query = connection.execute("SELECT * FROM read_parquet(?)", [str(folder / "after.parquet")])
    by_duckdb = query.to_arrow_table() if hasattr(query, "to_arrow_table") else query.fetch_arrow_table()
    names = {name for table in before for name in table.column_names} - gone
    for reader, found in (("pyarrow", after), ("duckdb", by_duckdb)):
        if set(found.column_names) != names:
            sys.exit(f"{folder.name}: {reader} finds the columns {sorted(found.column_names)} and not {sorted(names)}")
        for name in names:
            expected = [value for table in before for value in values(table, name, table.num_rows)]
            if found.column(name).to_pylist() != expected:
                sys.exit(f"{folder.name}: column {name} is not what it was by {reader}")
    raw = (folder / "after.parquet").read_bytes()
    for name in gone:
        if name.encode() in raw:
            sys.exit(f"{folder.name}: the name of column {name} is still in the file")


folders = [path for path in pathlib.Path(sys.argv[1]).iterdir()]
for each in folders:
    check(each)
print(f"{len(folders)} splices are as they should be")
