"""Random but repeatable records of any product, made from its Avro schema and the policy's classes of its columns.

A seed gives always the same records, each with an id of its own in the schema's first field. Shares nothing with
Ebbtide's own generator.
"""

import datetime
import decimal
import json
import random
import struct
import uuid

import phonenumbers

HOUR = 3600 * 1000
DAY = 24 * HOUR

WORDS = ["your", "code", "is", "meet", "me", "at", "the", "harbour", "größe", "naïve", "привет", "こんにちは", "🌊", "ebb"]
REGIONS = [
    region
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE) is not None
]
FAVOURED = ["NL", "IT", "IN", "GB", "AU", "CH", "US", "CA", "KZ", "RU", "DE", "BE"]


def leaves(schema, path=()):
    """The schema's columns as (path, type, nullable): records flatten, whatever else is one column."""
    for field in schema["fields"]:
        kind, nullable = field["type"], False
        if isinstance(kind, list):
            nullable = "null" in kind
            kind = next(branch for branch in kind if branch != "null")
        here = path + (field["name"],)
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from leaves(kind, here)
        else:
            yield here, kind, nullable


def phone(rng):
    """A valid number: mostly as E.164, else without its plus, with 00 before it, or spaced for people."""
    region = rng.choice(FAVOURED) if rng.random() < 0.7 else rng.choice(REGIONS)
    kind = phonenumbers.PhoneNumberType.MOBILE
    number = phonenumbers.example_number_for_type(region, kind)
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    for _ in range(8):
        other = text[:-3] + f"{rng.randrange(1000):03}"
        if phonenumbers.is_valid_number(phonenumbers.parse(other)):
            text = other
            break
    draw = rng.random()
    if draw < 0.8:
        return text
    if draw < 0.9:
        return text[1:]
    if draw < 0.95:
        return "00" + text[1:]
    return phonenumbers.format_number(phonenumbers.parse(text), phonenumbers.PhoneNumberFormat.INTERNATIONAL)


class Generator:
    """Records of one product."""

    def __init__(self, schema, product, seed, now_ms, ages=True):
        self.schema = schema
        self.product = product
        self.rng = random.Random(seed)
        self.now_ms = now_ms
        self.ages = ages
        self.leaves = list(leaves(schema))
        subjects = product.get("subjects", {})
        self.kinds = {name: kind for name, kind in subjects.items()}

    def record(self):
        """The next record, nested as the schema has it."""
        made = {}
        for position, (path, kind, nullable) in enumerate(self.leaves):
            inner = made
            for step in path[:-1]:
                inner = inner.setdefault(step, {})
            column = "_".join(path)
            if nullable and column != self.product["event_time"] and self.rng.random() < 0.3:
                inner[path[-1]] = None
            elif position == 0:
                inner[path[-1]] = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
            else:
                inner[path[-1]] = self.value(column, kind)
        return made

    def value(self, column, kind):
        rng = self.rng
        if column == self.product["event_time"]:
            return self.event_time()
        if isinstance(kind, dict):
            return self.logical(column, kind)
        if kind == "string":
            return self.text(column)
        if kind == "int":
            return rng.randrange(0, 500)
        if kind == "long":
            return rng.randrange(-(2**62), 2**62)
        if kind == "float":
            return struct.unpack("f", struct.pack("f", rng.random() * 5))[0]
        if kind == "double":
            return rng.random() * 1e6
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "bytes":
            return rng.randbytes(rng.randrange(0, 20))
        raise ValueError(f"no generator for {kind}")

    def logical(self, column, kind):
        rng = self.rng
        logical = kind.get("logicalType", "")
        if logical.startswith("timestamp"):
            return self.now_ms - rng.randrange(0, 30 * DAY)
        if logical == "date":
            return 20000 + rng.randrange(0, 700)
        if logical == "uuid":
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        if logical == "decimal":
            most = min(10 ** kind["precision"], 10**12) - 1
            return decimal.Decimal(rng.randrange(-most, most)).scaleb(-kind["scale"])
        if kind["type"] == "enum":
            return rng.choice(kind["symbols"])
        if kind["type"] == "array":
            return [self.value(column, kind["items"]) for _ in range(rng.randrange(0, 4))]
        if kind["type"] == "map":
            return {f"key{n}": self.value(column, kind["values"]) for n in range(rng.randrange(0, 4))}
        if kind["type"] == "fixed":
            return rng.randbytes(kind["size"])
        return self.value(column, kind["type"])

    def event_time(self):
        """Mostly just now; some late, past some deadlines or past all, a few a little ahead."""
        rng = self.rng
        draw = rng.random()
        if not self.ages or draw < 0.75:
            return self.now_ms - rng.randrange(0, 6 * HOUR)
        if draw < 0.87:
            return self.now_ms - rng.randrange(DAY, 150 * DAY)
        if draw < 0.95:
            return self.now_ms - rng.randrange(200 * DAY, 330 * DAY)
        if draw < 0.97:
            return self.now_ms - rng.randrange(1200 * DAY, 1500 * DAY)
        return self.now_ms + rng.randrange(10 * 60 * 1000, 20 * 60 * 1000)

    def text(self, column):
        rng = self.rng
        kind = self.kinds.get(column)
        if column == self.product.get("tenant"):
            return f"tenant-{rng.randrange(1, 40):04}"
        jurisdiction = self.product.get("jurisdiction")
        if isinstance(jurisdiction, dict) and jurisdiction.get("column") == column:
            return rng.choice(["NL", "IT", "IN", "US"])
        if kind == "phone":
            if column == "originator" and rng.random() < 0.3:
                return rng.choice(["30500", "EbbBank", "Haven"])
            return phone(rng)
        if kind == "email":
            text = f"{rng.choice(['Ada', 'bob', 'CARL'])}.{rng.getrandbits(40):010x}@{rng.choice(['Example', 'mail'])}.net"
            return text
        if isinstance(kind, dict):
            return f"Id-{rng.getrandbits(48):012x}"
        words = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 12)))
        return f"{words} {rng.getrandbits(40):010x}"


def flat(schema, record):
    """The record as one JSON value a column: times in microseconds, dates in ISO, decimals and uuids as text, bytes in hex."""
    columns = {}
    for path, kind, _ in leaves(schema):
        value = record
        for step in path:
            value = None if value is None else value[step]
        columns["_".join(path)] = plain(kind, value)
    return columns


def plain(kind, value):
    if value is None or not isinstance(kind, dict):
        return value.hex() if isinstance(value, bytes) else value
    logical = kind.get("logicalType", "")
    if logical.endswith("-millis"):
        return value * 1000
    if logical == "date":
        return (datetime.date(1970, 1, 1) + datetime.timedelta(days=value)).isoformat()
    if logical == "decimal":
        return f"{value:.{kind['scale']}f}"
    if kind["type"] == "array":
        return [plain(kind["items"], item) for item in value]
    if kind["type"] == "map":
        return {key: plain(kind["values"], item) for key, item in sorted(value.items())}
    return value.hex() if isinstance(value, bytes) else value


def load(path):
    """A schema file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)
