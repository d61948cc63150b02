"""Reads the tables of a retention life file by file, with delta-rs and pyarrow only, and the file of its events.

A file never changes, so each is read once. Only rows count: of what Ebbtide says of a file, only the version that lists it is used.
"""

import collections
import datetime
import functools
import json
import os
import urllib.parse

import deltalake
import pyarrow
import pyarrow.compute
import pyarrow.dataset

from oracle import EPOCH, Oracle

DAY = 86_400_000_000
GRACE = 10 * DAY  # of every rule in tests/fixtures/life.yaml


def micros(value):
    return (value - EPOCH) // datetime.timedelta(microseconds=1)


class Events:
    """The events of the test so far: policies, holds, contract ends, withdrawals."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.all = [json.loads(line) for line in file if line.endswith("\n")]

    def of(self, what):
        return [event for event in self.all if event["what"] == what]

    def policy(self):
        return self.of("policy")[-1]["path"]

    def ended(self):
        return {event["tenant"]: event["at"] for event in self.of("contract")}

    def holds(self):
        """The holds in force: each is a tenant or a subject, and products."""
        released = {event["hold"] for event in self.of("release")}
        return [event for event in self.of("hold") if event["hold"] not in released]

    def settling(self, now, product):
        """Returns true if a recent event made data due immediately: its grace begins then."""
        recent = [event for event in self.all if event["at"] + GRACE + DAY > now]
        policies = [event for event in recent if event["what"] == "policy" and event is not self.of("policy")[0]]
        return bool(policies) or any(event["what"] == "release" and product in event["products"] for event in recent)


class File:
    """One segment: its values by category, deadline, tenant and people."""

    def __init__(self, path):
        self.bytes, self.rows, self.cells, self.in_cells = os.path.getsize(path), 0, 0, 0
        self.values = collections.Counter()


def read_files(paths, schema, fields, keys):
    """Files by their paths, read together: they are small and many. `keys`: the columns of the tenant, and of each subject."""
    compute = pyarrow.compute
    categories = sorted({category for category in fields.values() if category != "none"})
    wanted = {*fields, *keys, "source_topic", "records", *(f"expires_{category}" for category in categories)}
    wanted = [field for field in schema if field.name in wanted]
    rows = pyarrow.dataset.dataset(paths, schema=pyarrow.schema(wanted), format="parquet")
    rows = rows.to_table(columns=[field.name for field in wanted] + ["__filename"]).combine_chunks()
    column = lambda name: rows[name] if name in rows.column_names else pyarrow.nulls(rows.num_rows, pyarrow.string())
    valid = lambda name: compute.is_valid(column(name))
    files = {path: File(path) for path in paths}

    def counted(columns, there):
        names = [str(at) for at in range(len(columns))]
        found = pyarrow.table(columns, names).filter(there).group_by(names).aggregate([([], "count_all")])
        return zip(*[found[name].to_pylist() for name in [*names, "count_all"]])

    for path, count in counted([column("__filename")], valid("source_topic")):
        files[path].rows = count
    # Cells are few: each has its number of records.
    for path, records, count in counted([column("__filename"), column("records")], compute.is_null(column("source_topic"))):
        files[path].cells += count
        files[path].in_cells += (records or 0) * count
    for category in categories:
        there = functools.reduce(compute.or_, [valid(name) for name, of in fields.items() if of == category])
        tagged = column(f"expires_{category}").cast(pyarrow.timestamp("us", "UTC")).cast(pyarrow.int64())
        # The person matters only for holds: those are few, and looked up by name.
        columns = [column("__filename"), tagged, *[column(name) for name in keys]]
        for path, at, who, *people, count in counted(columns, there):
            files[path].values[(category, at, who, tuple(people))] = count
    return files


class Tables:
    """All tables under a root, at their newest versions."""

    def __init__(self, root):
        self.root, self.files = root, {}

    def products(self):
        folder = os.path.join(self.root, "tables")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def read(self, product, policy):
        """The files of a table by path. A file that is unlinked meanwhile is not in the newest version."""
        of = policy.products()[product]
        words = json.dumps(of["fields"], sort_keys=True)
        for last in [False] * 5 + [True]:
            try:
                table = deltalake.DeltaTable(os.path.join(self.root, "tables", product))
                paths = [urllib.parse.unquote(uri.removeprefix("file://")) for uri in table.file_uris()]
                known = self.files.get((product, words), {})
                new = [path for path in paths if path not in known]
                if new:
                    schema = pyarrow.schema(table.schema().to_arrow())
                    known = known | read_files(new, schema, of["fields"], [of.get("tenant"), *of.get("subjects", {})])
                # The results under the policy before are not needed any more.
                found = {path: known[path] for path in paths}
                self.files = {key: files for key, files in self.files.items() if key[0] != product} | {(product, words): found}
                return found
            except FileNotFoundError:
                if last:
                    raise


def place(path):
    """The bucket of a file and its profile, as its folders name them."""
    parts = dict(part.split("=", 1) for part in path.split(os.sep) if "=" in part)
    return parts["bucket"], parts["profile"]


class Reckoning:
    """The stored data of a table, and the overdue part: by the tags, and by contract ends and withdrawals."""

    def __init__(self, events):
        self.oracle, self.ended, self.holds = Oracle(events.policy()), events.ended(), events.holds()

    def is_held(self, product, tenant, people):
        for hold in self.holds:
            if product in hold["products"] and (hold["tenant"] == tenant if "tenant" in hold else hold["subject"] in people):
                return True
        return False

    def deadline(self, product, category, tagged, tenant):
        """When a value is due: by its tag, or, where that is open, by the end of its tenant's contract."""
        if tagged is not None or tenant not in self.ended:
            return tagged
        rule = self.oracle.rule(product, category, "ZZ", tenant)
        if rule.get("trigger") != "contract_end":
            return None
        end = self.oracle.bucket(EPOCH + datetime.timedelta(microseconds=self.ended[tenant]))
        return micros(self.oracle.after(end, rule["keep"]))

    def table(self, product, files, now):
        """Counts of one table at `now`."""
        stored, overdue, held = collections.Counter(), collections.Counter(), 0
        for file in files.values():
            for (category, tagged, tenant, people), count in file.values.items():
                stored[category] += count
                due = self.deadline(product, category, tagged, tenant)
                if due is not None and due < now and self.is_held(product, tenant, people):
                    held += count
                elif due is not None and due < now - GRACE:
                    overdue[category] += count
        places = collections.Counter(place(path) for path in files)
        closed = (EPOCH + datetime.timedelta(microseconds=now - 7 * DAY)).date().isoformat()
        most = max((count for (bucket, _), count in places.items() if bucket < closed), default=0)
        return {"stored": stored, "overdue": overdue, "held": held, "segments": len(files), "most": most}
