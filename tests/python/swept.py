"""Checks that swept tables hold exactly what they should at a time, and that no expired data is left.

Each acknowledged record must be stored once, with all data that is not due and none that is, or be a dead letter, or have ended. The audit must account for those:
cells, suppressed, removed, past all deadlines on arrival. --since and --until (microseconds) are around the time of the last sweep: data due at the first must
be deleted, data due after the second must be stored. --settled: there may be no file but those that a version lists and the log. Prints its counts as JSON.
"""

import argparse
import collections
import os
import re
import urllib.parse

import deltalake

from compare import told
from oracle import Oracle
from tables import READERS, audited, rows, verdict

OWN = {"source_topic", "source_partition", "source_offset", "ingested_at", "profile"}
LOG = re.compile(r"\d{20}\.json|\d{20}\.checkpoint(\.[\w-]+)*\.parquet|_last_checkpoint")


class Swept:
    """Collects differences."""

    def __init__(self, args):
        self.args = args
        self.oracle = Oracle(args.policy)
        self.wrong = []

    def say(self, text):
        self.wrong.append(text)

    def held(self, record, product):
        return self.args.held and record.get(self.oracle.policy.products()[product]["tenant"]) == self.args.held

    def record(self, where, product, record, row):
        """Checks one stored record."""
        wanted = self.oracle.expect(product, record, row["ingested_at"])
        if wanted is None:
            self.say(f"{where}: is stored although it was past all its deadlines")
            return
        fields = self.oracle.policy.products()[product]["fields"]
        deadlines = {name: at for name, at in wanted.items() if name.startswith("expires_") and at is not None}
        since = min(self.args.since, self.args.held_since) if self.held(record, product) else self.args.since
        until = self.args.held_since if self.held(record, product) else self.args.until
        if deadlines and max(deadlines.values()) <= since:
            self.say(f"{where}: is stored although it ended")
            return
        for name, at in deadlines.items():
            gone = row[name] is None
            if not gone and at <= since:
                self.say(f"{where}: {name} is overdue")
            elif gone and at > until:
                self.say(f"{where}: {name} was deleted before its time")
            if gone:
                wanted |= {column: None for column, category in fields.items() if f"expires_{category}" == name}
                wanted[name] = None
        for column in sorted(set(wanted) | set(row)):
            if column not in OWN and row.get(column, "missing") != wanted.get(column, "unknown"):
                self.say(f"{where}: {column} is {row.get(column)!r}, not {wanted.get(column)!r}")

    def absent(self, where, product, record, arrived):
        """Checks one record that is not stored."""
        wanted = self.oracle.expect(product, record, max(arrived, record[self.oracle.policy.products()[product]["event_time"]]))
        if wanted is None:
            return
        until = self.args.held_since if self.held(record, product) else self.args.until
        if max(at for name, at in wanted.items() if name.startswith("expires_")) > until:
            self.say(f"{where}: LOST")

    def table(self, product, reader, produced, dead):
        """Checks one table as one reader sees it. Returns the number of stored records and the number of records in its cells."""
        stands, cells = collections.defaultdict(list), 0
        for row in rows(reader, self.path(product)):
            if row["source_topic"] == "foreign":
                continue  # what another engine appended
            if row["source_topic"] is None:
                cells += row["records"]
                told = [name for name, category in self.oracle.policy.products()[product]["fields"].items() if category != "none" and row.get(name) is not None]
                if told:
                    self.say(f"{reader}: {product}: a cell has {told}")
            else:
                stands[(row["source_topic"], row["source_partition"], row["source_offset"])].append(row)
        count = sum(map(len, stands.values()))
        for key, line in produced.items():
            there, where = stands.pop(key, []), f"{reader}: {product} {key}"
            if len(there) > 1:
                self.say(f"{where}: is stored {len(there)} times")
            if key in dead or line["record"] is None:
                if there or key not in dead:
                    self.say(f"{where}: was bad, and is stored or is no dead letter")
            elif there:
                self.record(where, product, line["record"], there[0])
            else:
                self.absent(where, product, line["record"], 0)
        for key in stands:
            self.say(f"{reader}: {product} {key}: no producer sent this")
        return count, cells

    def books(self, product, produced, dead, counted):
        """Checks that the audit balances and accounts for exactly the records produced."""
        totals = audited(self.args.program, self.args.root, product, self.say)
        if not totals:
            return totals
        ended = totals.get("removed", 0) + totals.get("suppressed", 0)
        if totals["read"] != len(produced):
            self.say(f"{product}: {len(produced)} produced, {totals['read']} read")
        if totals["dead_letters"] != sum(key in dead for key in produced):
            self.say(f"{product}: {totals['dead_letters']} dead letters by the audit")
        for reader, (stand, cells) in counted.items():
            if stand + cells + ended + totals["expired"] + totals["dead_letters"] != len(produced):
                self.say(f"{product}: {reader} sees {stand} records and {cells} in cells; the audit: {totals}; produced: {len(produced)}")
        return totals

    def files(self, product):
        """Checks that every file is one that the newest version lists, or one of the log."""
        path = self.path(product)
        listed = {urllib.parse.unquote(os.path.relpath(uri.removeprefix("file://"), path)) for uri in deltalake.DeltaTable(path).file_uris()}
        for at, _, names in os.walk(path):
            for name in names:
                file = os.path.relpath(os.path.join(at, name), path)
                if os.path.dirname(file) == "_delta_log":
                    if not LOG.fullmatch(name):
                        self.say(f"{product}: {file} is left in the log")
                elif urllib.parse.unquote(file) in listed or file in listed:
                    listed.discard(urllib.parse.unquote(file))
                else:
                    self.say(f"{product}: {file} is left")
        if listed:
            self.say(f"{product}: {sorted(listed)[:3]} are not there")

    def path(self, product):
        return os.path.join(self.args.root, "tables", product)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--acked", required=True, nargs="+")
    parser.add_argument("--dead", required=True)
    parser.add_argument("--readers", default=",".join(READERS))
    parser.add_argument("--since", type=int, required=True)
    parser.add_argument("--until", type=int, required=True)
    parser.add_argument("--held", help="a tenant whose records are held")
    parser.add_argument("--held-since", type=int, default=0)
    parser.add_argument("--settled", action="store_true")
    args = parser.parse_args()

    judge = Swept(args)
    produced, dead = told(args.acked, [args.dead])
    said = {}
    for product, by_key in sorted(produced.items()):
        counted = {}
        for reader in args.readers.split(","):
            try:
                counted[reader] = judge.table(product, reader, by_key, dead)
            except Exception as error:  # a table that a reader cannot read is a difference like any other
                judge.say(f"{reader}: {product}: cannot be read: {error!r}")
        totals = judge.books(product, by_key, dead, counted)
        stand, cells = next(iter(counted.values()), (0, 0))
        said[product] = {"produced": len(by_key), "stand": stand, "in_cells": cells} | totals
        if args.settled:
            judge.files(product)
    verdict(judge.wrong, said)


if __name__ == "__main__":
    main()
