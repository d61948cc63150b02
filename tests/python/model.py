"""The model of a table: plain rows and the rules of the design in their simplest form.

It is slow: a row is a dict of the columns that are there, and each rule is a loop over all rows.
"""

import collections
import datetime
import itertools
import typing

import oracle
from versions import Version

# The largest distance of an event from its bucket, for a hold on a record whose event time is deleted.
MARGIN = datetime.timedelta(days=3)


class Term(typing.NamedTuple):
    """How long a category of a row is kept, and the bucket of its trigger once that came."""

    category: str
    keep: str
    boundary: str
    trigger: str
    known: object = None

    def rule(self):
        return {"keep": self.keep, "boundary": self.boundary, "trigger": self.trigger}


class Row:
    """A record in the table: its stored columns and its tags."""

    def __init__(self, columns, version, bucket, last):
        self.columns, self.version, self.bucket, self.last = columns, version, bucket, last
        # The deadline of each stored category; None while it is open.
        self.terms, self.deadlines = (), {}
        # True if its tags may be those of an earlier policy, because it is held.
        self.waits = False

    def has_minimum(self):
        return any(term.boundary == "at_least" for term in self.terms)

    def is_open(self):
        return any(term.trigger == "contract_end" and term.known is None for term in self.terms)

    def due(self, now):
        return {category for category, at in self.deadlines.items() if at is not None and at <= now}

    def is_over(self, now, until):
        """Whether its last category is due: then it ends. One that a change of policy has left without any ends with its terms, at `until`."""
        if self.is_open():
            return False
        return self.due(now) == set(self.deadlines) if self.deadlines else until is not None and until <= now

    def group(self):
        """The key that rows of one segment share: bucket, terms, and the last bucket where a minimum counts from it."""
        return self.bucket, self.terms, self.last if self.has_minimum() else None

    def known(self, trigger):
        """The bucket in which a trigger came, as far as the tags show."""
        return min((term.known for term in self.terms if term.trigger == trigger and term.known is not None), default=None)

    def view(self):
        """The row as a reader sees it."""
        return self.columns | {f"expires_{category}": at for category, at in self.deadlines.items()}


class Model:
    """One product's table."""

    def __init__(self, path):
        self.active = Version(path)
        self.versions = {self.active.name: self.active}
        self.rows, self.cells, self.holds = [], [], {}
        self.ends, self.told, self.withdrawals = {}, set(), []
        self.expired = 0

    # What arrives.

    def ingest(self, records, offset, arrived, partition):
        version = self.active
        for number, record in enumerate(records, offset):
            at = sorted([record[version.event], arrived])
            bucket, last = (version.oracle.bucket(oracle.instant(micros)) for micros in at)
            names = {version.oracle.canonical("phone", record[name], record) for name in version.subjects}
            told = self.ended(record[version.tenant]), self.withdrawn(names, record[version.tenant], bucket)
            columns = version.oracle.expect("sms", record, arrived, told)
            if columns is None:
                self.expired += 1
                continue
            columns |= {"ingested_at": arrived, "source_topic": "sms", "source_partition": partition, "source_offset": number}
            row = Row(columns, version, bucket, last)
            self.take_terms(row, version, told)
            for name, category in version.fields.items():
                if category in row.due(arrived):
                    del columns[name]
            row.deadlines = {category: at for category, at in row.deadlines.items() if category not in row.due(arrived)}
            for category in version.categories:
                at = columns.pop(f"expires_{category}")
                assert at == row.deadlines.get(category), (category, at, row.deadlines)
            self.rows.append(row)

    def ended(self, tenant):
        at = self.ends.get(tenant)
        return None if at is None else self.active.oracle.bucket(oracle.instant(at))

    def withdrawn(self, names, tenant, bucket):
        """The bucket of the first withdrawal that concerns records of a bucket which name those."""
        named = [w for w in self.withdrawals if w["subject"] in names and w["tenant"] in (None, tenant)]
        buckets = [self.active.oracle.bucket(oracle.instant(w["at"])) for w in named]
        return min((at for at in buckets if at >= bucket), default=None)

    # Terms and deadlines.

    def deadline(self, version, row, term):
        told = term.known if term.trigger == "contract_end" else None, term.known if term.trigger == "consent_withdrawn" else None
        at = version.oracle.deadline(term.rule(), row.bucket, row.last, told)
        return None if at is None else oracle.micros(at)

    def until(self, row):
        """When the last of a row's terms is over; None while one is open, or if it has none."""
        ends = [self.deadline(self.active, row, term) for term in row.terms]
        return max(ends) if ends and None not in ends else None

    def take_terms(self, row, version, told):
        """Gives a row the terms that a version has for it, and deadlines for what is there of it."""
        rules = {category: version.rule(category, row.columns) for category in version.categories}
        terms = [Term(category, rule["keep"], rule["boundary"], rule.get("trigger", "event")) for category, rule in rules.items()]
        row.terms = tuple(self.know(version, row, term, told) for term in terms)
        there = {version.fields[name] for name in row.columns if name in version.fields}
        row.deadlines = {term.category: self.deadline(version, row, term) for term in row.terms if term.category in there}

    def know(self, version, row, term, told):
        """The term once that is known of triggers: a withdrawal counts only if it is before the window's end."""
        ended, withdrawn = told
        if term.trigger == "contract_end":
            return term._replace(known=term.known if ended is None else ended)
        if term.trigger == "consent_withdrawn" and withdrawn is not None:
            window = self.deadline(version, row, term._replace(known=None))
            if oracle.micros(version.oracle.start(withdrawn)) < window:
                return term._replace(known=min(at for at in (term.known, withdrawn) if at is not None))
        return term

    # Orders.

    def contract_end(self, tenant, at, reason):
        """Returns the outcome of a notice."""
        if (tenant, at, reason) in self.told:
            return "known"
        if reason is None and tenant in self.ends and at > self.ends[tenant]:
            return "refused"
        self.told.add((tenant, at, reason))
        self.ends[tenant] = at
        return "taken"

    def withdraw(self, subject, tenant, at):
        withdrawal = {"subject": subject, "tenant": tenant, "at": at}
        if withdrawal in self.withdrawals:
            return "known"
        self.withdrawals.append(withdrawal)
        return "taken"

    def has_consent(self):
        return any(rule.get("trigger") == "consent_withdrawn" for rule in self.active.oracle.rules)

    def activate(self, path):
        self.active = Version(path)
        self.versions[self.active.name] = self.active

    # Sweeps.

    def sweep(self, now):
        """Updates the tags and deletes all data that is due, apart from held records."""
        for row in self.rows:
            if row.version is not self.active and not self.is_held(row, now):
                self.take_policy(row)
            # It keeps its tags for now.
            row.waits = row.version is not self.active and self.is_held(row, now)
            if not row.waits:
                self.take_notices(row)
        ending = collections.defaultdict(list)
        for row in [row for row in self.rows if not self.is_held(row, now)]:
            if row.is_over(now, self.until(row)):
                ending[row.group()].append(row)
                continue
            due = row.due(now)
            row.columns = {name: value for name, value in row.columns.items() if self.active.fields.get(name) not in due}
            row.deadlines = {category: at for category, at in row.deadlines.items() if category not in due}
        for group, rows in ending.items():
            gone = {id(row) for row in rows}
            self.rows = [row for row in self.rows if id(row) not in gone]
            if self.active.product["end"] != "remove":
                self.cells += [(group, cell) for cell in self.make_cells(rows)]

    def take_policy(self, row):
        """Deletes columns that the policy does not name, renames others, then writes the tags again if they changed."""
        old, new = row.version, self.active
        if not row.has_minimum():
            times = [row.columns["ingested_at"], row.columns.get(old.event)]
            row.last = new.oracle.bucket(oracle.instant(max(at for at in times if at is not None)))
        before, deadlines, touched = row.group(), row.deadlines, old.touches(new)
        if touched:
            stay = {name: new.renamed(name, row.columns) if name in old.columns else name for name in row.columns}
            row.columns = {stay[name]: value for name, value in row.columns.items() if stay[name]}
        self.take_terms(row, new, (row.known("contract_end"), row.known("consent_withdrawn")))
        if touched or row.group() != before:
            row.version = new
            row.columns["policy_version"] = new.name
        else:
            row.deadlines = deadlines

    def take_notices(self, row):
        version = self.active
        names = {row.columns[name] for name in version.subjects if row.columns.get(name)}
        tenant = row.columns.get(version.tenant)
        told = self.ended(tenant), self.withdrawn(names, tenant, row.bucket)
        for term in row.terms:
            new = self.know(version, row, term, told)
            if new != term and term.category in row.deadlines:
                row.deadlines[term.category] = self.deadline(version, row, new)
        row.terms = tuple(self.know(version, row, term, told) for term in row.terms)

    def is_held(self, row, now):
        # Before a row is brought to the active policy, a person may be named in a column that has another name in it, or none.
        readings = [self.active] if row.version is self.active else [self.active, row.version]
        return any(now < hold["until"] and any(self.covers(hold, row, of) for of in readings) for hold in self.holds.values())

    def covers(self, hold, row, version):
        columns = row.columns
        if "subject" in hold and hold["subject"] not in [columns.get(name) for name in version.subjects]:
            return False
        if "tenant" in hold and columns.get(version.tenant) != hold["tenant"]:
            return False
        if "from" in hold:
            begin, end = oracle.instant(hold["from"]), oracle.instant(hold["to"])
            category = version.fields[version.event]
            if category != "none" and row.deadlines.get(category) is None:
                first = version.oracle.start(row.bucket) - MARGIN
                last = version.oracle.after(row.bucket, "0 hours", whole=1) + MARGIN
                return begin < last and first < end
            return version.event in columns and begin <= oracle.instant(columns[version.event]) < end
        return True

    # The result.

    def make_cells(self, rows):
        how = self.active.product["end"]["anonymize"]
        k, names, sums = int(how["k"]), how["cell"], how.get("sum", [])
        groups = collections.defaultdict(list)
        for row in rows:
            groups[tuple(row.columns.get(name) for name in names)].append(row)
        people = lambda rows: {row.columns.get(how["of"]) for row in rows if row.columns.get(how["of"])}
        whole = {key: rows for key, rows in groups.items() if len(people(rows)) >= k and any(part is not None for part in key)}
        rest = list(itertools.chain.from_iterable(rows for key, rows in groups.items() if key not in whole))
        if len(people(rest)) >= k:
            whole[(None,) * len(names)] = rest
        for key, rows in whole.items():
            cell = dict(zip(names, key)) | {"bucket": rows[0].columns["bucket"], "records": len(rows)}
            yield cell | {name: self.sum(rows, name, how["of"]) for name in sums}

    def sum(self, rows, name, of):
        """The sum, unless one person may have more than half of it: a record without a name may be that person's."""
        weights = collections.Counter()
        for row in rows:
            weights[row.columns.get(of) or None] += abs(row.columns.get(name) or 0)
        whole, unknown = sum(weights.values()), weights.pop(None, 0)
        heaviest = max(weights.values(), default=0)
        if all(row.columns.get(name) is None for row in rows):
            return None
        if unknown * 4 > whole or (heaviest + unknown) * 2 > whole:
            return None
        return sum(row.columns.get(name) or 0 for row in rows)
