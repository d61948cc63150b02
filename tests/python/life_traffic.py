"""Produces traffic of every product by a clock that is many times as fast as the machine's, until a file says stop.

Each line of --out is one acknowledged record, as produce.py writes it. Some are planted: each of their personal fields has a value that is in no other
record, and `planted` lists them. A few are days late. No event is ahead of the clock.
"""

import argparse
import io
import json
import os
import random
import sys
import time

import fastavro
from confluent_kafka import Producer

from canaries import Canaries, Unique
from policy import Policy
from produce import register
from records import DAY, Generator, flat, load

PLANTED, LATE, LATEST = 0.03, 0.02, 25 * DAY


class Maker:
    """One product's records, framed."""

    def __init__(self, policy, key, args, unique):
        product = policy.products()[key]
        self.key, self.topic = key, product["topics"][0]
        self.schema = load(policy.schema_path(key))
        self.parsed = fastavro.parse_schema(json.loads(json.dumps(self.schema)))
        self.header = b"\x00" + register(args.registry, f"{self.topic}-value", self.schema).to_bytes(4, "big")
        self.plain = Generator(self.schema, product, f"{args.seed}/{key}", 0, ages=False)
        self.planting = Canaries(self.schema, product, f"{args.seed}/planted/{key}", 0, unique)

    def make(self, now_ms, planted):
        generator = self.planting if planted else self.plain
        generator.now_ms = now_ms
        record = generator.record()
        body = io.BytesIO()
        fastavro.schemaless_writer(body, self.parsed, record)
        told = []
        if planted:
            personal = self.planting.personal
            told = [[value, column, personal[column]] for column, values in generator.planted.items() for value in values]
        return flat(self.schema, record), told, self.header + body.getvalue()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--anchor", type=float, required=True, help="seconds since 1970 at which both clocks agree")
    parser.add_argument("--speed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="records a second of the machine's, over all products")
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--seed", default="life")
    parser.add_argument("--stop", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    policy, unique = Policy(args.policy), Unique()
    makers = [Maker(policy, key, args, unique) for key in sorted(policy.products())]
    rng = random.Random(args.seed)
    producer = Producer({"bootstrap.servers": args.bootstrap, "enable.idempotence": True, "linger.ms": 20, "acks": "all", "delivery.timeout.ms": 240000})
    failed, sent, started = [], 0, time.monotonic()
    with open(args.out, "w", encoding="utf-8") as out:

        def acknowledged(key, record, planted):
            def done(error, message):
                if error is not None:
                    failed.append(str(error))
                    return
                line = {"product": key, "topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
                out.write(json.dumps(line | {"record": record, "planted": planted}) + "\n")

            return done

        while not os.path.exists(args.stop):
            for _ in range(13):
                maker = makers[sent % len(makers)]
                now = int((args.anchor + (time.time() - args.anchor) * args.speed) * 1000)
                if rng.random() < LATE:
                    now -= rng.randrange(LATEST)
                record, planted, message = maker.make(now, rng.random() < PLANTED)
                partition = rng.randrange(args.partitions)
                producer.produce(maker.topic, message, partition=partition, on_delivery=acknowledged(maker.key, record, planted))
                sent += 1
            producer.poll(0)
            while (ahead := sent / args.rate - (time.monotonic() - started)) > 0:
                producer.poll(min(ahead, 0.2))
        left = producer.flush(240)
    if failed or left:
        print(f"{len(failed)} records failed, {left} undelivered: {failed[:3]}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
