"""One product's table as plain rows, by each of four readers that share no code with Ebbtide: DuckDB, Polars, delta-rs for Python, Spark.

Rows have one normal form whichever reader made them: times in microseconds, dates in ISO, decimals as text, bytes in
hex, maps as dicts in the order of their keys, what is not a number as `NaN`.
"""

import datetime
import decimal
import json
import math
import os
import subprocess
import sys

import deltalake
import duckdb
import duckdb_extension_delta
import polars
import pyarrow

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def connect():
    """DuckDB with its reader of such tables."""
    base = os.path.dirname(duckdb_extension_delta.__file__)
    files = [os.path.join(at, name) for at, _, names in os.walk(base) for name in names]
    extension = next(name for name in files if name.endswith("delta.duckdb_extension"))
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    # It would print a progress bar for queries of more than two seconds.
    connection.execute("SET enable_progress_bar = false")
    return connection


def by_duckdb(path):
    return connect().execute(f"SELECT * FROM delta_scan('{path}')").to_arrow_table()


def by_polars(path):
    return polars.read_delta(path).to_arrow()


def by_deltalake(path):
    return deltalake.DeltaTable(path).to_pyarrow_table()


def by_spark(path):
    return session().read.format("delta").load(path).toArrow()


def session():
    """Spark on one core, without a server of its own; one for a process."""
    import pyspark.sql

    tools = os.path.join(os.path.dirname(__file__), "../../tools")
    tool = lambda *words: subprocess.check_output([os.path.join(tools, words[0]), *words[1:]], text=True).strip()
    os.environ["JAVA_HOME"] = os.path.dirname(os.path.dirname(os.path.realpath(tool("java", "17"))))
    jars = os.path.join(tool("servers", "delta"), "libs")
    settings = {
        "spark.jars": ",".join(os.path.join(jars, name) for name in sorted(os.listdir(jars))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.log.level": "ERROR",
    }
    builder = pyspark.sql.SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


READERS = {"duckdb": by_duckdb, "polars": by_polars, "deltalake": by_deltalake, "spark": by_spark}


def normal(value, kind):
    """One value in the normal form; `kind` is its Arrow type."""
    if value is None:
        return None
    if isinstance(value, datetime.datetime):
        assert value.tzinfo is not None, "a time without a zone"
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return f"{value:.{kind.scale}f}"
    if isinstance(value, bytes):
        return value.hex()
    if pyarrow.types.is_map(kind):
        return {key: normal(item, kind.item_type) for key, item in sorted(value)}
    if isinstance(value, list):
        inner = kind.value_type
        if pyarrow.types.is_struct(inner) and {inner.field(i).name for i in range(inner.num_fields)} == {"key", "value"}:
            item = inner.field("value").type
            return {entry["key"]: normal(entry["value"], item) for entry in sorted(value, key=lambda e: e["key"])}
        return [normal(item, inner) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value


def rows(reader, path):
    """All rows of the table at `path`, as dicts of normal values."""
    table = READERS[reader](path)
    columns = {name: [normal(v, column.type) for v in column.to_pylist()] for name, column in zip(table.column_names, table.columns)}
    return [dict(zip(columns, values)) for values in zip(*columns.values())] if table.num_rows else []


def audited(program, root, product, say):
    """Returns the totals of `table audit`; reports the reason and returns nothing if the audit fails."""
    said = subprocess.run([program, "table", "audit", product, "--output", "json", "--root", root], capture_output=True, text=True, check=False)
    if said.returncode:
        say(f"{product}: the audit fails: {said.stdout}{said.stderr}")
        return {}
    return json.loads(said.stdout)["totals"]


def verdict(wrong, counts):
    """Ends the process with the first faults, or with the counts as JSON."""
    for text in wrong[:20]:
        print(text, file=sys.stderr)
    if wrong:
        leave(f"{len(wrong)} differences; counted: {counts}")
    print(json.dumps(counts))
    leave()


def leave(wrong=None):
    """Ends the process after its output, without the libraries' exit handlers: threads that some leave running abort it there at times."""
    if wrong:
        print(wrong, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if wrong else 0)
