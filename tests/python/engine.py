"""What another engine does to a table, by deltalake: `append` a file without statistics, `vacuum` without retention, `checkpoint`. Says what as JSON."""

import json
import os
import sys
import time
import uuid

import deltalake
import pyarrow.parquet
from deltalake.transaction import AddAction

ROWS = 5


def append(path):
    """Adds a file of a few rows of the table's own, said to be foreign's, of which the log tells nothing but partitions."""
    table = deltalake.DeltaTable(path)
    rows = table.to_pyarrow_table().slice(0, ROWS)
    place = {"bucket": None, "profile": None}
    topic = rows.schema.get_field_index("source_topic")
    rows = rows.set_column(topic, rows.schema.field(topic), pyarrow.array(["foreign"] * rows.num_rows))
    rows = rows.drop_columns(list(place))
    name = f"{uuid.uuid4()}.parquet"
    pyarrow.parquet.write_table(rows, os.path.join(path, name))
    size = os.path.getsize(os.path.join(path, name))
    action = AddAction(name, size, place, int(time.time() * 1000), True, "{}")
    table.create_write_transaction([action], "append", table.schema(), list(place))
    return {"files": [name]}


def main():
    what, path = sys.argv[1:]
    if what == "append":
        said = append(path)
    elif what == "vacuum":
        deleted = deltalake.DeltaTable(path).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        said = {"deleted": len(deleted)}
    else:
        deltalake.DeltaTable(path).create_checkpoint()
        said = {}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
