"""Compares the records produced with the rows of the tables and the dead letters, row for row, tag for tag.

Exits 1 and prints the first differences on stderr; otherwise prints its counts as JSON. Each acknowledged record must be
exactly once in its table, or be a dead letter, or be past all its deadlines. A table must have no other row.
"""

import argparse
import collections
import json
import os

from oracle import Oracle
from tables import READERS, rows, verdict


def lines(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def told(acked, dead):
    """The acknowledged records by product and place, and the places of the dead letters."""
    produced = collections.defaultdict(dict)
    for line in lines(acked):
        produced[line["product"]][(line["topic"], line["partition"], line["offset"])] = line
    headers = [letter["headers"] for letter in lines(dead)]
    places = {(of["ebbtide.topic"], int(of["ebbtide.partition"]), int(of["ebbtide.offset"])) for of in headers}
    return produced, places


class Judge:
    """Collects differences."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.wrong = []

    def say(self, text):
        self.wrong.append(text)

    def table(self, product, name, found, produced, dead):
        """Checks the rows that one reader found in one table. Returns the number of records that are past all deadlines by the oracle."""
        by_key = collections.defaultdict(list)
        for row in found:
            by_key[(row["source_topic"], row["source_partition"], row["source_offset"])].append(row)
        ids = collections.Counter()
        deadlines = {}
        expired = 0
        for key, line in produced.items():
            there = by_key.pop(key, [])
            where = f"{name}: {product} {key}"
            if len(there) > 1:
                self.say(f"{where}: is stored {len(there)} times")
            if key in dead:
                if there:
                    self.say(f"{where}: is in the table and in the dead letters")
                continue
            if line["record"] is None:
                self.say(f"{where}: was bad, and is no dead letter")
                continue
            arrived = there[0]["ingested_at"] if there else line["timestamp"] * 1000
            wanted = self.oracle.expect(product, line["record"], arrived)
            if wanted is None:
                expired += 1
                if there:
                    self.say(f"{where}: is stored although it was past all its deadlines")
            elif not there:
                self.say(f"{where}: LOST")
            else:
                self.row(where, wanted, there[0])
                shared = {k: v for k, v in there[0].items() if k.startswith("expires_")}
                if deadlines.setdefault((there[0]["bucket"], there[0]["profile"]), shared) != shared:
                    self.say(f"{where}: its bucket and profile have other deadlines too")
                first = next(iter(line["record"]))
                if there[0].get(first) is not None:
                    ids[there[0][first]] += 1
        for key in by_key:
            self.say(f"{name}: {product} {key}: no producer sent this")
        for record_id, count in ids.items():
            if count > 1:
                self.say(f"{name}: {product}: record id {record_id} is stored {count} times")
        return expired

    def row(self, where, wanted, row):
        own = {"source_topic", "source_partition", "source_offset", "ingested_at", "profile"}
        for column in sorted(set(wanted) | set(row)):
            if column in own:
                continue
            if column not in row:
                self.say(f"{where}: column {column} is missing")
            elif column not in wanted:
                # A table keeps the name of a column that its policy no longer names, and nothing in it.
                if row[column] is not None:
                    self.say(f"{where}: column {column} should not be there")
            elif wanted[column] != row[column]:
                self.say(f"{where}: {column} is {row[column]!r}, not {wanted[column]!r}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--acked", required=True, nargs="+", help="what produce.py wrote")
    parser.add_argument("--dead", nargs="*", default=[], help="what broker.py dumped of the dead letters")
    parser.add_argument("--readers", default=",".join(READERS))
    args = parser.parse_args()

    judge = Judge(Oracle(args.policy))
    produced, dead = told(args.acked, args.dead)
    strays = dead - {key for by_key in produced.values() for key in by_key}
    if strays:
        judge.say(f"{len(strays)} dead letters of messages that no producer sent, such as {min(strays)}")
    wrongly = [key for by_key in produced.values() for key, line in by_key.items() if key in dead and line["record"] is not None]
    if wrongly:
        judge.say(f"{len(wrongly)} good records are dead letters, such as {wrongly[0]}")
    counts = {"produced": sum(map(len, produced.values())), "dead": len(dead), "expired": 0, "stored": {}}
    for product, by_key in sorted(produced.items()):
        path = os.path.join(args.root, "tables", product)
        expired = 0
        for reader in args.readers.split(","):
            try:
                found = rows(reader, path)
            except Exception as error:  # a table that a reader cannot read is a difference like any other
                judge.say(f"{reader}: {product}: cannot be read: {error}")
                continue
            expired = judge.table(product, reader, found, by_key, dead)
            counts["stored"].setdefault(reader, 0)
            counts["stored"][reader] += len(found)
        counts["expired"] += expired
    verdict(judge.wrong, counts)


if __name__ == "__main__":
    main()
