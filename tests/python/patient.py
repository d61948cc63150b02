"""Opens a table by three readers, prints `open`, and reads it only once a line comes: each must find what was there when it was opened.

deltalake holds a version, Polars a plan of a version, DuckDB a result of which a part was fetched.
"""

import sys

import deltalake
import polars

from tables import connect, leave

PART = 10


def main():
    path = sys.argv[1]
    table = deltalake.DeltaTable(path)
    version = table.version()
    wanted = table.to_pyarrow_table().num_rows
    plan = polars.scan_delta(path, version=version)
    cursor = connect().execute(f"SELECT * FROM delta_scan('{path}')")
    part = len(cursor.fetchmany(PART))
    print("open", flush=True)
    sys.stdin.readline()
    found = {
        "deltalake": table.to_pyarrow_table().num_rows,
        "deltalake by its version": deltalake.DeltaTable(path, version=version).to_pyarrow_table().num_rows,
        "polars": plan.collect().height,
        "polars by its version": polars.read_delta(path, version=version).height,
        "duckdb": part + len(cursor.fetchall()),
    }
    leave("".join(f"{reader} finds {rows} rows of {wanted}\n" for reader, rows in found.items() if rows != wanted))


if __name__ == "__main__":
    main()
