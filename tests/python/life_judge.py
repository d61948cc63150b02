"""Checks that the tables of a retention life hold, at its end, exactly what they should of every record that Kafka acknowledged.

A value must be deleted once it is due by the policy in force. It must be stored, and its tag must say so, if no policy of the life ever made it due. Held
values are stored. Each record is stored once, or has ended, or was past its deadlines on arrival, and the audit accounts for all. Values due between --since
and --until (microseconds, around the last sweep) may be stored or deleted. --held-only checks only the rows of holds in force, while instances run.
--due and --living get planted values, one a line: those that must be in no byte, and some that must be found. A person who withdrew consent is kept under
`_controls` while a record could come to which that applies (docs/triggers.md): those values go to a separate file, --due's name with `.remembered`.
"""

import argparse
import collections
import concurrent.futures
import functools
import json
import multiprocessing
import os
import re

from compare import lines
from life_tables import DAY, Events
from oracle import Oracle, instant, micros
from tables import audited, rows, verdict

LIVING = 500


class Life:
    """Every policy of the life, its notices and its holds."""

    def __init__(self, events):
        self.events, self.ended = events, events.ended()
        self.policies = [Oracle(event["path"]) for event in events.of("policy")]
        self.withdrawn = {event["subject"]: event["at"] for event in events.of("withdraw")}
        self.last = self.policies[-1]

    def deadlines(self, oracle, product, record, arrived):
        """When each category of a record is due by one policy; None: open."""
        of = oracle.policy.products()[product]
        event, arrival = instant(record[of["event_time"]]), instant(arrived)
        first, last = oracle.bucket(min(event, arrival)), oracle.bucket(max(event, arrival))
        country, tenant = oracle.jurisdiction(of, record), record.get(of.get("tenant"))
        due = {}
        for category in {category for category in of["fields"].values() if category != "none"}:
            rule = oracle.rule(product, category, country, tenant)
            trigger = rule.get("trigger", "event")
            if trigger == "contract_end":
                end = self.ended.get(tenant)
                due[category] = None if end is None else micros(oracle.after(oracle.bucket(instant(end)), rule["keep"]))
                continue
            due[category] = micros(oracle.after(last, rule["keep"], whole=1) if rule["boundary"] == "at_least" else oracle.after(first, rule["keep"]))
            if trigger == "consent_withdrawn":
                people = [oracle.canonical(kind, record[name], record) for name, kind in of["subjects"].items()]
                told = [self.withdrawn[person] for person in people if person in self.withdrawn]
                buckets = [oracle.bucket(instant(at)) for at in told]
                due[category] = min([due[category]] + [micros(oracle.start(bucket)) for bucket in buckets if bucket >= first])
        return due

    def fields(self, product, record, arrived):
        """Of each personal field, when it is due by the last policy and the earliest by any; None: never."""
        found = {}
        for oracle in self.policies:
            due = self.deadlines(oracle, product, record, arrived)
            for name, category in oracle.policy.products()[product]["fields"].items():
                if category != "none":
                    found.setdefault(name, []).append(due[category])
        kept = {name for name, category in self.last.policy.products()[product]["fields"].items() if category != "none"}
        earliest = lambda times: min((at for at in times if at is not None), default=None)
        return {name: (times[-1], earliest(times)) for name, times in found.items() if name in kept}

    def held_since(self, product, record):
        """Since when a record is held, if it is."""
        of = self.last.policy.products()[product]
        holds = [hold for hold in self.events.holds() if product in hold["products"]]
        people = {self.last.canonical(kind, record[name], record) for name, kind in of.get("subjects", {}).items()} if holds else set()
        for hold in holds:
            if hold["tenant"] == record.get(of["tenant"]) if "tenant" in hold else hold["subject"] in people:
                return hold["at"]
        return None


class Judge:
    """Collects differences."""

    def __init__(self, args):
        self.args, self.life = args, Life(Events(args.events))
        self.wrong, self.due, self.remembered, self.living, self.whole = [], [], [], [], 0

    def say(self, text):
        self.wrong.append(text)

    def absorb(self, other):
        """Adds the findings in another table."""
        self.wrong += other.wrong
        self.due += other.due
        self.remembered += other.remembered
        self.living = (self.living + other.living)[:LIVING]
        self.whole += other.whole

    def record(self, where, product, line, row):
        """Judges one record and its row, or None."""
        record = line["record"]
        of = self.life.last.policy.products()[product]
        arrived = row["ingested_at"] if row else record[of["event_time"]]
        fields = self.life.fields(product, record, arrived)
        held = self.life.held_since(product, record)
        must_go = {name for name, (at, _) in fields.items() if held is None and at is not None and at <= self.args.since}
        stays_until = self.args.until if held is None else held
        must_stay = {name for name, (_, at) in fields.items() if at is None or at > stays_until}
        for value, column, _ in line["planted"]:
            # A date is eight digits, which may occur by chance in compressed data or in other numbers.
            if re.fullmatch(r"[0-9-]{1,12}", value):
                continue
            if column in must_go:
                (self.remembered if value.lower() in self.life.withdrawn else self.due).append(value)
            elif column in must_stay and record.get(column) is not None and len(self.living) < LIVING and held is None:
                self.living.append(value)
        if row is None:
            if must_stay:
                self.say(f"{where}: LOST: {sorted(must_stay)[:3]} are not due (held since {held})")
            return
        if fields and must_go == set(fields):
            self.say(f"{where}: is stored although it ended")
            return
        self.whole += held is not None
        wanted = self.life.last.expect(product, record, row["ingested_at"]) or {}
        for name in sorted(must_go):
            if row.get(name) is not None:
                self.say(f"{where}: {name} is overdue")
        for name in sorted(must_stay):
            if row.get(name, "missing") != wanted.get(name, "unknown"):
                self.say(f"{where}: {name} is {row.get(name)!r}, not {wanted.get(name)!r}")
            tag = f"expires_{of['fields'][name]}"
            # A held record keeps its old tags until it is released.
            if held is None and row[tag] != fields[name][0]:
                self.say(f"{where}: {tag} is {row[tag]!r}, not {fields[name][0]!r}")
        for name, category in of["fields"].items():
            if category == "none" and row.get(name) != wanted.get(name):
                self.say(f"{where}: {name} is {row.get(name)!r}, not {wanted.get(name)!r}")

    def table(self, product, produced):
        """Checks one table. Returns its stored records and those in cells."""
        stands, cells = collections.defaultdict(list), 0
        for row in rows("duckdb", os.path.join(self.args.root, "tables", product)):
            if row["source_topic"] is None:
                cells += row["records"]
            else:
                stands[(row["source_topic"], row["source_partition"], row["source_offset"])].append(row)
        standing = sum(map(len, stands.values()))
        for key, line in produced.items():
            there, where = stands.pop(key, []), f"{product} {key}"
            if len(there) > 1:
                self.say(f"{where}: is stored {len(there)} times")
            self.record(where, product, line, there[0] if there else None)
        for key in [] if self.args.held_only else stands:
            self.say(f"{product} {key}: no producer sent this")
        return standing, cells

    def books(self, product, produced, standing, cells):
        """Checks that the audit balances and accounts for exactly the records produced."""
        totals = audited(self.args.program, self.args.root, product, self.say)
        if not totals:
            return totals
        ended = totals.get("removed", 0) + totals.get("suppressed", 0) + totals["expired"] + totals["dead_letters"]
        if totals["read"] != len(produced) or standing + cells + ended != len(produced):
            self.say(f"{product}: {standing} records and {cells} in cells; the audit: {totals}; produced: {len(produced)}")
        return totals


def written(root):
    """Bytes of the segments that commits added, by what the commits say that they are."""
    found = collections.Counter()
    for at, _, names in os.walk(os.path.join(root, "tables")):
        for name in names:
            if not (at.endswith("_delta_log") and name.endswith(".json")):
                continue
            with open(os.path.join(at, name), encoding="utf-8") as file:
                actions = [json.loads(line) for line in file]
            what = next((action["commitInfo"].get("operation", "?") for action in actions if "commitInfo" in action), "?")
            found[what] += sum(action["add"]["size"] for action in actions if "add" in action)
            found[f"{what} commits"] += 1
    return dict(found)


def judged(args, product, produced):
    """Checks one product's table and audit. Returns the counts, and the judge with its findings."""
    judge = Judge(args)
    standing, cells = judge.table(product, produced)
    said = {"produced": len(produced), "stand": standing, "in_cells": cells}
    if not args.held_only:
        said |= judge.books(product, produced, standing, cells)
    return said, judge


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--events", required=True)
    parser.add_argument("--acked", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--since", type=int, required=True)
    parser.add_argument("--until", type=int, required=True)
    parser.add_argument("--held-only", action="store_true")
    parser.add_argument("--due")
    parser.add_argument("--living")
    args = parser.parse_args()

    judge = Judge(args)
    produced = collections.defaultdict(dict)
    for line in lines([args.acked]):
        product = line["product"]
        if args.held_only:
            of = judge.life.last.policy.products()[product]
            # Records that were just produced may not be stored yet.
            if judge.life.held_since(product, line["record"]) is None or line["record"][of["event_time"]] > args.since - 5 * DAY:
                continue
        produced[product][(line["topic"], line["partition"], line["offset"])] = line
    said = {}
    products, records = sorted(produced), [produced[product] for product in sorted(produced)]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        # While instances run, there is no core to spare.
        each = map if args.held_only else pool.map
        for product, (counted, one) in zip(products, each(functools.partial(judged, args), products, records)):
            said[product] = counted
            judge.absorb(one)
    said["held"] = judge.whole
    if not args.held_only:
        said["due values"], said["bytes"] = len(judge.due), written(args.root)
        for path, values in ((args.due, judge.due), (f"{args.due}.remembered", judge.remembered), (args.living, judge.living)):
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(value + "\n" for value in values)
    verdict(judge.wrong, said)


if __name__ == "__main__":
    main()
