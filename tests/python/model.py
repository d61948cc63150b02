"""What a table holds, as plain rows and the rules of the design in their most obvious form.

Promises nothing about speed; a row is a dict of columns, and each rule is a loop over all rows.
"""

import collections
import datetime
import itertools

import oracle

UTC = datetime.timezone.utc
# How far from its bucket an event may lie for a hold that cannot ask it any more.
MARGIN = datetime.timedelta(days=3)


class Hours(oracle.Oracle):
    """The oracle of a policy whose buckets are hours, in a zone whose clock never jumps."""

    def bucket(self, at):
        return at.astimezone(self.zone).replace(minute=0, second=0, microsecond=0)

    def label(self, bucket):
        return oracle.micros(bucket)

    def start(self, bucket):
        return bucket.astimezone(UTC)

    def after(self, bucket, keep, whole=0):
        number, unit = keep.split()
        if unit in oracle.HOURS:
            until = bucket + datetime.timedelta(hours=int(number))
        elif unit in oracle.DAYS:
            until = bucket + datetime.timedelta(days=int(number) * oracle.DAYS[unit])
        else:
            day = oracle.add_months(bucket.date(), int(number) * oracle.MONTHS[unit])
            until = datetime.datetime.combine(day, bucket.timetz())
        return (until + datetime.timedelta(hours=whole)).astimezone(UTC)


class Row:
    """A record in the table: its columns, and the group that it ends with."""

    def __init__(self, columns, deadlines, group, bucket):
        self.columns, self.deadlines, self.group, self.bucket = columns, deadlines, group, bucket

    def due(self, now):
        return {category for category, at in self.deadlines.items() if at <= now}


class Model:
    """One product's table."""

    def __init__(self, path):
        plain = oracle.Oracle(path)
        self.oracle = Hours(path) if plain.policy.data["bucket"] == "hour" else plain
        self.product = self.oracle.policy.products()["sms"]
        self.fields = self.product["fields"]
        self.categories = sorted({category for category in self.fields.values() if category != "none"})
        self.rows, self.cells, self.holds = [], [], {}
        self.expired = 0

    def ingest(self, records, offset, arrived):
        for number, record in enumerate(records, offset):
            columns = self.oracle.expect("sms", record, arrived)
            if columns is None:
                self.expired += 1
                continue
            columns |= {"ingested_at": arrived, "source_topic": "sms", "source_partition": 0, "source_offset": number}
            deadlines = {category: columns[f"expires_{category}"] for category in self.categories}
            deadlines = {category: at for category, at in deadlines.items() if at is not None}
            bucket = self.oracle.bucket(oracle.instant(min(record["sent_at"], arrived)))
            self.rows.append(Row(columns, deadlines, self.group(record, columns, arrived), bucket))

    def group(self, record, columns, arrived):
        """What records have in common that lie together: bucket, terms, and the last bucket where a minimum counts from it."""
        terms = [self.oracle.rule("sms", category, columns["jurisdiction"], record["customer"]) for category in self.categories]
        terms = tuple((rule["keep"], rule["boundary"]) for rule in terms)
        last = self.oracle.bucket(oracle.instant(max(record["sent_at"], arrived)))
        minimum = any(boundary == "at_least" for _, boundary in terms)
        return columns["bucket"], terms, last if minimum else None

    def sweep(self, now):
        """Everything that is due goes, but for what is held."""
        ending = collections.defaultdict(list)
        for row in [row for row in self.rows if row.due(now) and not self.is_held(row, now)]:
            due = row.due(now)
            if due == set(row.deadlines):
                ending[row.group].append(row)
                continue
            for name, category in self.fields.items():
                if category in due:
                    row.columns[name] = None
            for category in due:
                row.columns[f"expires_{category}"] = None
                del row.deadlines[category]
        for group, rows in ending.items():
            self.rows = [row for row in self.rows if row not in rows]
            if self.product["end"] != "remove":
                self.cells += [(group, cell) for cell in self.make_cells(rows)]

    def is_held(self, row, now):
        return any(now < hold["until"] and self.covers(hold, row) for hold in self.holds.values())

    def covers(self, hold, row):
        columns = row.columns
        if "subject" in hold and hold["subject"] not in (columns["recipient"], columns["sender"]):
            return False
        if "tenant" in hold and columns["customer"] != hold["tenant"]:
            return False
        if "from" in hold:
            begin, end = oracle.instant(hold["from"]), oracle.instant(hold["to"])
            if self.fields["sent_at"] != "none" and self.fields["sent_at"] not in row.deadlines:
                first = self.oracle.start(row.bucket) - MARGIN
                last = self.oracle.after(row.bucket, "0 hours", whole=1) + MARGIN
                return begin < last and first < end
            return begin <= oracle.instant(columns["sent_at"]) < end
        return True

    def make_cells(self, rows):
        how = self.product["end"]["anonymize"]
        k, names, sums = int(how["k"]), how["cell"], how.get("sum", [])
        groups = collections.defaultdict(list)
        for row in rows:
            groups[tuple(row.columns[name] for name in names)].append(row)
        people = lambda rows: {row.columns[how["of"]] for row in rows if row.columns[how["of"]]}
        whole = {key: rows for key, rows in groups.items() if len(people(rows)) >= k and any(part is not None for part in key)}
        rest = list(itertools.chain.from_iterable(rows for key, rows in groups.items() if key not in whole))
        if len(people(rest)) >= k:
            whole[(None,) * len(names)] = rest
        for key, rows in whole.items():
            cell = dict(zip(names, key)) | {"bucket": rows[0].columns["bucket"], "records": len(rows)}
            yield cell | {name: self.sum(rows, name, how["of"]) for name in sums}

    def sum(self, rows, name, of):
        """The sum, unless one person may have more than half of it: whoever has no name may be that one."""
        weights = collections.Counter()
        for row in rows:
            weights[row.columns[of] or None] += abs(row.columns[name] or 0)
        whole, unknown = sum(weights.values()), weights.pop(None, 0)
        heaviest = max(weights.values(), default=0)
        if all(row.columns[name] is None for row in rows):
            return None
        if unknown * 4 > whole or (heaviest + unknown) * 2 > whole:
            return None
        return sum(row.columns[name] or 0 for row in rows)
