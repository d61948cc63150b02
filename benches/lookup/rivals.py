"""Reads all columns of one person's rows from the same Parquet files with three engines; prints their medians and answers as JSON."""

import json
import os
import statistics
import sys
import time

import chdb.session
import duckdb
import polars

asked, files = sys.argv[1].split(","), sys.argv[2:]


def by_duckdb():
    connection = duckdb.connect()
    # Footers are cached from one query to the next, like ours.
    connection.execute("SET enable_object_cache = true")
    connection.execute("SET parquet_metadata_cache = true")
    return lambda who: connection.execute("SELECT * FROM read_parquet($1) WHERE recipient = $2", [files, who]).to_arrow_table()


def by_polars():
    return lambda who: polars.scan_parquet(files).filter(polars.col("recipient") == who).collect().to_arrow()


def by_chdb():
    session = chdb.session.Session()
    # It accepts a list of paths only after a folder that all of them share.
    folder = os.path.commonpath([os.path.dirname(file) for file in files])
    names = f"{folder}/{{{','.join(os.path.relpath(file, folder) for file in files)}}}"

    def ask(who):
        import pyarrow

        query = f"SELECT * FROM file('{names}', Parquet) WHERE recipient = '{who}'"
        return pyarrow.ipc.open_stream(session.query(query, "ArrowStream").bytes()).read_all()

    return ask


results = []
for name, engine in (("DuckDB", by_duckdb), ("Polars", by_polars), ("chdb", by_chdb)):
    ask = engine()
    ask(asked[0])
    times, answers = [], []
    for who in asked:
        started = time.perf_counter()
        rows = ask(who)
        times.append(time.perf_counter() - started)
        answers.append((rows.num_rows, sum(rows.column("source_offset").to_pylist())))
    results.append({"name": name, "ms": statistics.median(times) * 1e3, "answers": answers})
print(json.dumps(results))
