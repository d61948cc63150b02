"""An independent calculation of every tag: bucket, jurisdiction, deadlines, canonical subjects, derived columns.

Works on one record at a time with the standard library's calendar and the Python port of libphonenumber. It is slow, and must
never share a line, a table or a method with the code that it checks.
"""

import datetime
import functools
import re
import zoneinfo

import phonenumbers

from policy import Policy

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
E164 = phonenumbers.PhoneNumberFormat.E164
HOURS = {"hour": 1, "hours": 1}
DAYS = {"day": 1, "days": 1, "week": 7, "weeks": 7}
# Platforms whose ids are names without regard to case, and platforms whose ids are telephone numbers.
HANDLES = {"telegram", "twitter", "x", "instagram", "threads", "skype"}
NUMBERS = {"whatsapp", "wa", "signal", "viber", "sms", "mms", "rcs", "imessage"}
MONTHS = {"month": 1, "months": 1, "year": 12, "years": 12}


def instant(micros):
    return EPOCH + datetime.timedelta(microseconds=micros)


def micros(at):
    return (at - EPOCH) // datetime.timedelta(microseconds=1)


def parse(text):
    """The valid number that a text in international form is, else None; with a plus, 00 or nothing before it."""
    bare = text.strip()
    digits = re.sub(r"[-+ .()/]", "", bare)
    if not digits.isdigit() or not bare.isascii():
        return None
    try:
        number = phonenumbers.parse("+" + (digits[2:] if digits.startswith("00") else digits))
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


@functools.lru_cache(maxsize=100_000)
def country_of(text):
    """The country of a number, `ZZ` if it is unknown."""
    number = None if text is None else parse(text)
    region = None if number is None else phonenumbers.region_code_for_number(number)
    return region if region and region.isalpha() else "ZZ"


@functools.lru_cache(maxsize=100_000)
def canonical_phone(text):
    """E.164 without its plus; a text that is no number stays, trimmed."""
    number = parse(text)
    return text.strip() if number is None else phonenumbers.format_number(number, E164).removeprefix("+")


def add_months(day, months):
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    month += 1
    first_of_next = datetime.date(year + month // 12, month % 12 + 1, 1)
    last = (first_of_next - datetime.timedelta(days=1)).day
    return datetime.date(year, month, min(day.day, last))


class Oracle:
    """The oracle of one policy; a bucket is a day, or the first instant of an hour."""

    def __init__(self, path):
        self.policy = Policy(path)
        data = self.policy.data
        self.hourly = data.get("bucket", "day") == "hour"
        self.zone = zoneinfo.ZoneInfo(data["zone"])
        self.rules, self.ruled = data["rules"], {}

    def label(self, bucket):
        """A bucket as the tables have it."""
        return micros(bucket) if self.hourly else bucket.isoformat()

    def start(self, day):
        """The first instant of a day in the zone."""
        local = datetime.datetime(day.year, day.month, day.day, tzinfo=self.zone)
        at = local.astimezone(UTC)
        # A midnight that the clocks jump over: the day begins where the jump lands.
        while at.astimezone(self.zone).date() < day:
            at += datetime.timedelta(minutes=15)
        return at

    def bucket(self, at):
        """The bucket that an instant falls into."""
        if self.hourly:
            # Exact where the zone is whole hours from UTC, as those of the tests are.
            return at.replace(minute=0, second=0, microsecond=0)
        return at.astimezone(self.zone).date()

    def after(self, day, keep, whole=0):
        """The instant `keep` after the first instant of `day`; with `whole` 1, just after all of the day that `keep` comes to:
        the end of 30 August + 6 months is that of 28 February, although 31 August + 6 months is 28 February too."""
        number, unit = keep.split()
        number = int(number)
        if self.hourly:
            assert unit in HOURS, "the oracle knows hours alone where buckets are hours"
            return day + datetime.timedelta(hours=number + whole)
        whole = datetime.timedelta(days=whole)
        if unit in HOURS:
            return self.start(day + whole) + datetime.timedelta(hours=number)
        if unit in DAYS:
            return self.start(day + datetime.timedelta(days=number * DAYS[unit]) + whole)
        return self.start(add_months(day, number * MONTHS[unit]) + whole)

    def rule(self, product, category, country, tenant):
        """The most specific rule that matches: a tenant's, then a jurisdiction's, a category's, a product's."""
        asked = (product, category, country, tenant)
        if asked not in self.ruled:
            self.ruled[asked] = self.find_rule(*asked)
        return self.ruled[asked]

    def find_rule(self, product, category, country, tenant):
        best, best_rank = None, None
        for rule in self.rules:
            matches = [("tenants", tenant), ("jurisdictions", country), ("categories", category), ("products", product)]
            if all(not rule.get(key) or value in rule[key] for key, value in matches):
                rank = tuple(bool(rule.get(key)) for key, _ in matches)
                if best is None or rank > best_rank:
                    best, best_rank = rule, rank
        return best

    def canonical(self, kind, value, record):
        if value is None:
            return None
        value = value.strip()
        if kind == "phone":
            return canonical_phone(value)
        if kind == "email":
            return value.lower()
        platform = (kind.get("platform") or record[kind["platform_of"]]).lower()
        if platform in HANDLES:
            value = value.lstrip("@").lower()
        return f"{platform}:{canonical_phone(value) if platform in NUMBERS else value}"

    def jurisdiction(self, product, record):
        where = product.get("jurisdiction", "unknown")
        if isinstance(where, dict) and "country_of" in where:
            return country_of(record[where["country_of"]])
        if isinstance(where, dict) and "column" in where:
            return record[where["column"]] or "ZZ"
        return "ZZ" if where == "unknown" else where

    def deadline(self, rule, first, last, told=(None, None)):
        """When what a rule keeps of records of bucket `first` is due, minimums counting from bucket `last`; None while that is open.
        `told` is the known triggers: the bucket of the contract's end, and that of a withdrawal which concerns them."""
        ended, withdrawn = told
        trigger = rule.get("trigger", "event")
        if trigger == "contract_end":
            first = last = ended
        if first is None:
            return None
        at = self.after(first, rule["keep"]) if rule["boundary"] == "at_most" else self.after(last, rule["keep"], whole=1)
        return min(at, self.start(withdrawn)) if trigger == "consent_withdrawn" and withdrawn is not None else at

    def expect(self, key, record, arrived, told=(None, None)):
        """What the table must hold of a record that arrived at `arrived` (microseconds): columns, or None for past all deadlines."""
        product = self.policy.products()[key]
        event, arrival = instant(record[product["event_time"]]), instant(arrived)
        first, last = self.bucket(min(event, arrival)), self.bucket(max(event, arrival))
        country = self.jurisdiction(product, record)
        tenant = record.get(product.get("tenant"))
        categories = sorted({c for c in product["fields"].values() if c != "none"})
        due, expires = set(), {}
        for category in categories:
            rule = self.rule(key, category, country, tenant)
            deadline = self.deadline(rule, first, last, told)
            if deadline is not None and deadline <= arrival:
                due.add(category)
                deadline = None
            expires[f"expires_{category}"] = None if deadline is None else micros(deadline)
        if due == set(categories):
            return None
        columns = {}
        for name, category in product["fields"].items():
            value = record[name]
            kind = product.get("subjects", {}).get(name)
            if kind is not None:
                value = self.canonical(kind, value, record)
            columns[name] = None if category in due else value
        for name, how in product.get("derive", {}).items():
            columns[name] = self.derived(how, record)
        columns |= expires
        columns |= {"bucket": self.label(first), "jurisdiction": country, "records": 1}
        return columns | {"policy_version": self.policy.data["version"]}

    def derived(self, how, record):
        ((what, of),) = how.items()
        value = record[of]
        if what == "country_of":
            return country_of(value)
        if value is None:
            return None
        if what == "hour_of":
            return instant(value).astimezone(self.zone).hour
        assert what == "domain_of", what
        return value.strip().lower().rpartition("@")[2]
