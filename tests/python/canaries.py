"""Produces records in which every personal field has a value that is in no other record, and writes each value with its deadline.

--out gets a line for each acknowledged record as produce.py writes it, with its values in `canaries`: value, product, column, category and `expires`, the
oracle's deadline in microseconds (null while it is open). --strangers gets values of the same kinds, one a line, that no record has. Enums and booleans
cannot be unique and are not counted. Telephone numbers are of several countries, so that records fall under several rules.
"""

import argparse
import datetime
import decimal
import io
import json
import sys
import time

import fastavro
import phonenumbers
from confluent_kafka import Producer

from oracle import Oracle
from policy import Policy
from produce import register
from records import HOUR, Generator, flat, load

PHONES = [("+316", 8), ("+39347", 7), ("+9198", 8), ("+4479", 8), ("+1212", 7)]
WORDS = ["canary", "größe", "a 50% \"quoted\" \\ one", "🌊"]
LEAST_LENGTH = 8


class Unique:
    """Gives every value once, over all products."""

    def __init__(self):
        self.given = set()

    def make(self, draw):
        while True:
            value = draw()
            if value not in self.given:
                self.given.add(value)
                return value


class Canaries(Generator):
    """Records of one product; `planted` holds the last one's values by column."""

    def __init__(self, schema, product, seed, now_ms, unique):
        super().__init__(schema, product, seed, now_ms, ages=False)
        self.unique = unique
        self.personal = {column: category for column, category in product["fields"].items() if category != "none"}
        self.planted = {}

    def record(self):
        self.planted = {}
        made = {}
        for path, kind, _ in self.leaves:
            inner = made
            for step in path[:-1]:
                inner = inner.setdefault(step, {})
            column = "_".join(path)
            inner[path[-1]] = self.canary(column, kind) if column in self.personal else self.value(column, kind)
        return made

    def plant(self, column, draw, told=str):
        value = self.unique.make(draw)
        self.planted.setdefault(column, []).append(told(value))
        return value

    def canary(self, column, kind):
        rng = self.rng
        if kind == "string":
            return self.plant(column, lambda: self.words(column))
        if kind == "int":
            return self.plant(column, lambda: rng.randrange(1_000_000_000, 1_200_000_000))
        logical = kind.get("logicalType", "") if isinstance(kind, dict) else ""
        if logical == "timestamp-millis":
            return self.plant(column, lambda: self.now_ms - rng.randrange(60_000, 6 * HOUR), instant)
        if logical == "date":
            return self.plant(column, lambda: rng.randrange(-25_000, -5_000), day)
        if logical == "decimal":
            return self.plant(column, lambda: decimal.Decimal(rng.randrange(10**9, 10**11) * 100 + rng.randrange(1, 100)).scaleb(-2))
        if logical == "uuid":
            value = self.value(column, kind)
            return self.plant(column, lambda: value)
        if logical == "" and isinstance(kind, dict) and kind["type"] == "array" and kind["items"] == "string":
            return [self.plant(column, lambda: self.words(column)) for _ in range(rng.randrange(1, 4))]
        if logical == "" and isinstance(kind, dict) and kind["type"] == "map" and kind["values"] == "string":
            return {self.plant(column, lambda: self.words(column)): self.plant(column, lambda: self.words(column))}
        return self.value(column, kind)

    def words(self, column):
        rng = self.rng
        kind = self.kinds.get(column)
        if kind == "phone":
            while True:
                start, digits = rng.choice(PHONES)
                number = f"{start}{rng.randrange(10**digits):0{digits}}"
                if phonenumbers.is_valid_number(phonenumbers.parse(number)):
                    return number
        if kind == "email":
            return f"{rng.choice(['Ada', 'bob', 'CARL'])}.{rng.getrandbits(48):012x}@{rng.choice(['Example', 'mail'])}.net"
        if isinstance(kind, dict):
            return f"Id-{rng.getrandbits(48):012x}"
        return f"{rng.choice(WORDS)} {rng.getrandbits(56):014x}"


def instant(millis):
    at = datetime.datetime.fromtimestamp(millis // 1000, datetime.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{millis % 1000:03}Z"


def day(days):
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=days)).isoformat()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--values", type=int, required=True, help="how many values at least")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--out", required=True)
    parser.add_argument("--strangers", required=True)
    args = parser.parse_args()

    policy, oracle, unique = Policy(args.policy), Oracle(args.policy), Unique()
    now = int(time.time() * 1000)
    makers = []
    for key, product in sorted(policy.products().items()):
        schema = load(policy.schema_path(key))
        topic = product["topics"][0]
        header = b"\x00" + register(args.registry, f"{topic}-value", schema).to_bytes(4, "big")
        generator = Canaries(schema, product, f"{args.seed}/{key}", now, unique)
        makers.append((key, topic, header, schema, fastavro.parse_schema(json.loads(json.dumps(schema))), generator))

    producer = Producer({"bootstrap.servers": args.bootstrap, "enable.idempotence": True, "linger.ms": 5, "acks": "all"})
    failed, planted, sent = [], 0, 0
    with open(args.out, "w", encoding="utf-8") as out:

        def acknowledged(key, record, canaries):
            def done(error, message):
                if error is not None:
                    failed.append(str(error))
                    return
                timestamp = message.timestamp()[1]
                expected = oracle.expect(key, record, timestamp * 1000)
                for canary in canaries:
                    canary["expires"] = expected[f"expires_{canary['category']}"]
                line = {"product": key, "topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
                out.write(json.dumps(line | {"timestamp": timestamp, "record": record, "canaries": canaries}) + "\n")

            return done

        while planted < args.values or sent % len(makers):
            key, topic, header, schema, parsed, generator = makers[sent % len(makers)]
            record = generator.record()
            body = io.BytesIO()
            fastavro.schemaless_writer(body, parsed, record)
            canaries = [
                {"value": value, "product": key, "column": column, "category": generator.personal[column]}
                for column, values in generator.planted.items()
                for value in values
            ]
            done = acknowledged(key, flat(schema, record), canaries)
            producer.produce(topic, header + body.getvalue(), partition=sent % args.partitions, on_delivery=done)
            producer.poll(0)
            planted, sent = planted + len(canaries), sent + 1
        left = producer.flush(120)
    strangers = []
    for *_, generator in makers:
        for _ in range(5):
            generator.record()
            strangers += [value for values in generator.planted.values() for value in values]
    assert all(len(value) >= LEAST_LENGTH for value in strangers)
    with open(args.strangers, "w", encoding="utf-8") as file:
        file.writelines(value + "\n" for value in strangers)
    if failed or left:
        print(f"{len(failed)} records failed, {left} undelivered: {failed[:3]}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
