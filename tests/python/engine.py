"""Does with deltalake what another engine does to a table, and prints it as JSON: `append` adds a file without statistics of its columns, `vacuum`
deletes all files that no version lists, without retention, `checkpoint` makes one."""

import json
import os
import sys
import time
import urllib.parse
import uuid

import deltalake
import pyarrow.parquet
from deltalake.transaction import AddAction

ROWS = 5


def append(path):
    """Adds a file of a few of the table's own rows, as if another engine had written them: the log has only their number and partitions."""
    table = deltalake.DeltaTable(path)
    rows = table.to_pyarrow_table().slice(0, ROWS)
    first = rows.slice(0, 1).to_pylist()[0]
    place = {"bucket": f"{first['bucket']:%Y-%m-%d %H:%M:%S}", "profile": first["profile"]}
    topic = rows.schema.get_field_index("source_topic")
    rows = rows.set_column(topic, rows.schema.field(topic), pyarrow.array(["foreign"] * rows.num_rows))
    rows = rows.drop_columns(list(place))
    # Where engines put it: Polars reads the partitions of all files from their paths, or of none.
    name = f"bucket={first['bucket']:%Y-%m-%dT%H:%M:%SZ}/profile={first['profile']}/{uuid.uuid4()}.parquet"
    pyarrow.parquet.write_table(rows, os.path.join(path, name))
    size = os.path.getsize(os.path.join(path, name))
    action = AddAction(name, size, place, int(time.time() * 1000), True, json.dumps({"numRecords": rows.num_rows}))
    table.create_write_transaction([action], "append", table.schema(), list(place))
    return {"files": [name]}


def vacuum(path):
    """Vacuums without retention. This engine's clock is the machine's, for which what was removed by a clock ahead of it is not removed yet: what
    its vacuum would delete by that clock is deleted by hand."""
    table = deltalake.DeltaTable(path)
    deleted = len(table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True))
    listed = {urllib.parse.unquote(uri.removeprefix("file://")) for uri in deltalake.DeltaTable(path).file_uris()}
    for at, _, names in os.walk(path):
        for name in names:
            file = os.path.join(at, name)
            if "_delta_log" not in at and urllib.parse.unquote(file) not in listed:
                os.remove(file)
                deleted += 1
    return {"deleted": deleted}


def main():
    what, path = sys.argv[1:]
    if what == "append":
        said = append(path)
    elif what == "vacuum":
        said = vacuum(path)
    else:
        deltalake.DeltaTable(path).create_checkpoint()
        said = {}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
