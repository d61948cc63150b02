"""Runs `ebbtide find` for people whose records are in the tables, and compares its output with what DuckDB reads.

Exits 1 and prints the first differences on stderr; otherwise prints the numbers of people and records that it compared, as JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import pyarrow.parquet

from tables import connect, normal

# The columns that name people, by the shipped policy.
SUBJECTS = {
    "sms": ("phone", ["originator", "recipient"]),
    "voice": ("phone", ["caller", "callee"]),
    "email": ("email", ["sender_address", "recipient_address"]),
}
PLACE = ("source_topic", "source_partition", "source_offset")


def plain(table):
    """The rows of an Arrow table as dicts of normal values, in the order of their places."""
    columns = {name: [normal(v, column.type) for v in column.to_pylist()] for name, column in zip(table.column_names, table.columns)}
    rows = [dict(zip(columns, values)) for values in zip(*columns.values())] if table.num_rows else []
    return sorted(rows, key=lambda row: tuple(row[name] for name in PLACE))


def main():
    parser = argparse.ArgumentParser()
    for option in ("--program", "--config", "--tables"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    wrong, people, records = [], 0, 0

    def find(*arguments, subject, code):
        """What it wrote to stdout; the subject goes in by stdin, as a careful officer gives it."""
        command = [options.program, "find", "--config", options.config, "--subject", "-", *arguments]
        done = subprocess.run(command, input=subject, capture_output=True, text=True, check=False)
        value = subject.split(":", 1)[1].lstrip("+")
        if done.returncode != code:
            wrong.append(f"{arguments}: exit code {done.returncode}, not {code}: {done.stderr}")
        if value in done.stderr:
            wrong.append(f"{arguments}: stderr names whom was asked for")
        return done.stdout

    database = connect()
    for product, (kind, columns) in SUBJECTS.items():
        table = f"delta_scan('{os.path.join(options.tables, product)}')"
        each = " UNION ALL ".join(f"SELECT {column} AS who FROM {table}" for column in columns)
        chosen = f"SELECT who FROM ({each}) WHERE who IS NOT NULL GROUP BY who ORDER BY"
        many = database.execute(f"{chosen} count(*) DESC, who LIMIT 4").fetchall()
        some = database.execute(f"{chosen} md5(who) LIMIT 4").fetchall()
        for (who,) in dict.fromkeys(many + some):
            people += 1
            condition = " OR ".join(f"{column} = ?" for column in columns)
            query = f"SELECT * FROM {table} WHERE {condition}"
            expected = plain(database.execute(query, [who] * len(columns)).to_arrow_table())
            # A short code is no number of a country: a plus before it would be another text.
            plus = "+" if kind == "phone" and who.isdigit() and len(who) > 7 and not who.startswith("0") else ""
            subject = f"{kind}:{plus}{who}"
            with tempfile.TemporaryDirectory() as folder:
                file = os.path.join(folder, "found.parquet")
                find("--product", product, "--output", "parquet", "--file", file, subject=subject, code=0)
                found = plain(pyarrow.parquet.read_table(file)) if os.path.exists(file) else []
            for row in found:
                if row.pop("held_by") is not None:
                    wrong.append(f"{product}: a record is held by an unknown hold")
            if found != expected:
                wrong.append(f"{product}: {len(found)} records are found, {len(expected)} stand, or they differ")
            told = json.loads(find("--output", "json", subject=subject, code=0))
            here = sum(record["product"] == product for record in told["records"])
            if here != len(expected):
                wrong.append(f"{product}: {here} records in JSON, not {len(expected)}")
            records += len(found)
        absent = "phone:+999999999999999" if kind == "phone" else "email:absent@nowhere.example"
        find("--product", product, "--output", "csv", subject=absent, code=1)
    if wrong:
        print("\n".join(wrong[:20]), file=sys.stderr)
        sys.exit(1)
    print(json.dumps({"people": people, "records": records}))


if __name__ == "__main__":
    main()
