"""One version of a policy as the model of a table reads it: its columns by name and by meaning, and how long each is kept.

The records of all versions use the names of the first version for their fields.
"""

import datetime
import json
import os

import oracle

UTC = datetime.timezone.utc


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


class Version:
    """A version of the policy of the one product."""

    def __init__(self, path):
        plain = oracle.Oracle(path)
        self.oracle = Hours(path) if plain.policy.data["bucket"] == "hour" else plain
        self.name = plain.policy.data["version"]
        self.product = self.oracle.policy.products()["sms"]
        self.fields = self.product["fields"]
        self.categories = sorted({category for category in self.fields.values() if category != "none"})
        # Every column, derived ones among them, with what it is.
        self.columns = self.fields | {name: "none" for name in self.product["derive"]}
        self.event, self.tenant = self.product["event_time"], self.product["tenant"]
        self.subjects = [name for name in self.product["subjects"] if name in self.fields]
        with open(os.path.join(os.path.dirname(path), self.product["schema"]), encoding="utf-8") as file:
            self.aliases = {field["name"]: field.get("aliases", []) for field in json.load(file)["fields"]}

    def renamed(self, name, beside):
        """Returns this version's name of the column `name` of another version, which has the columns `beside`; None if there is none."""
        if name in self.columns:
            return name
        new = [new for new in sorted(self.columns) if name in self.aliases.get(new, []) and new not in beside]
        return new[0] if new else None

    def rule(self, category, columns):
        return self.oracle.rule("sms", category, columns["jurisdiction"], columns.get(self.tenant))

    def touches(self, other):
        """Whether any column of this version has another name or another meaning in the other, or none."""
        now = {name: other.renamed(name, self.columns) for name in self.columns}
        return any(now[name] != name or other.columns[name] != self.columns[name] for name in self.columns)
