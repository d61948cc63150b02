"""Produces records of the policy's products with fastavro and librdkafka's own Python client, and writes what was acknowledged.

Each line of --out is one acknowledged record: product, topic, partition, offset, Kafka's time and the record by columns.
"""

import argparse
import io
import json
import os
import random
import sys
import time
import urllib.request

import fastavro
from confluent_kafka import Producer

from policy import Policy
from records import Generator, flat, load


def register(registry, subject, schema):
    """Registers a schema; returns its id."""
    body = json.dumps({"schema": json.dumps(schema)}).encode()
    url = f"{registry}/apis/ccompat/v7/subjects/{subject}/versions"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["id"]


class Maker:
    """One product's records, framed."""

    def __init__(self, policy, product, args):
        self.product = product
        self.topic = policy.products()[product]["topics"][0]
        self.schema = load(policy.schema_path(product))
        self.parsed = fastavro.parse_schema(self.schema)
        self.header = b"\x00" + register(args.registry, f"{self.topic}-value", self.schema).to_bytes(4, "big")
        now = int(time.time() * 1000)
        self.generator = Generator(self.schema, policy.products()[product], f"{args.seed}/{product}", now, args.ages)

    def make(self):
        """The next record by columns, and its message."""
        record = self.generator.record()
        body = io.BytesIO()
        fastavro.schemaless_writer(body, self.parsed, record)
        return flat(self.schema, record), self.header + body.getvalue()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--products", help="some of the policy's products, by commas; all without it")
    parser.add_argument("--count", type=int, required=True, help="records in all, spread over the products")
    parser.add_argument("--rate", type=float, default=0, help="records a second; 0: as fast as it goes")
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--tombstones", type=int, default=0, help="one record without a value after each N others; its record is null in --out")
    parser.add_argument("--ages", action="store_true", help="some records months and years late; without it all are of the last hours")
    parser.add_argument("--ahead", help="a file that says how many seconds ahead of the clock the events are; read again and again")
    parser.add_argument("--transaction", choices=["commit", "abort", "open"], help="one transaction around all records; open: committed once the file --stop is there")
    parser.add_argument("--keys", type=int, default=0, help="give each record one of this number of keys, as a compacted topic needs")
    parser.add_argument("--stop", help="a file: once it is there, no more is produced")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    policy = Policy(args.policy)
    products = args.products.split(",") if args.products else sorted(policy.products())
    makers = [Maker(policy, product, args) for product in products]
    settings = {"bootstrap.servers": args.bootstrap, "enable.idempotence": True, "linger.ms": 5, "acks": "all"}
    if args.transaction:
        settings |= {"transactional.id": f"{makers[0].topic}-{args.seed}", "transaction.timeout.ms": 600000}
    producer = Producer(settings | {"delivery.timeout.ms": 240000})
    if args.transaction:
        producer.init_transactions(60)
        producer.begin_transaction()
    rng = random.Random(args.seed)
    failed = []
    started = time.monotonic()
    with open(args.out, "w", encoding="utf-8") as out:

        def acknowledged(product, record):
            def done(error, message):
                if error is not None:
                    failed.append(str(error))
                    return
                line = {"product": product, "topic": message.topic(), "partition": message.partition()}
                line |= {"offset": message.offset(), "timestamp": message.timestamp()[1], "record": record}
                out.write(json.dumps(line) + "\n")

            return done

        def send(maker, record, message):
            partition = rng.randrange(args.partitions)
            key = str(rng.randrange(args.keys)) if args.keys else None
            while True:
                try:
                    done = acknowledged(maker.product, record)
                    producer.produce(maker.topic, message, key=key, partition=partition, on_delivery=done)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)

        for sent in range(args.count):
            if args.stop and sent % 20 == 0 and os.path.exists(args.stop):
                break
            if args.ahead and sent % 20 == 0:
                with open(args.ahead, encoding="utf-8") as file:
                    now = int((time.time() + float(file.read() or 0)) * 1000)
                for maker in makers:
                    maker.generator.now_ms = now
            maker = makers[sent % len(makers)]
            send(maker, *maker.make())
            if args.tombstones and sent % args.tombstones == 0:
                send(maker, None, None)
            if args.rate and sent % 20 == 19:
                # poll returns at the first delivery, so one call is no wait.
                while (ahead := sent / args.rate - (time.monotonic() - started)) > 0:
                    producer.poll(min(ahead, 0.2))
        left = producer.flush(240)
        if args.transaction == "open":
            out.flush()
            while not os.path.exists(args.stop):
                time.sleep(0.1)
        if args.transaction == "abort":
            producer.abort_transaction(60)
            # Aborted records are in no table.
            out.truncate(0)
        elif args.transaction:
            producer.commit_transaction(60)
    if failed or left:
        print(f"{len(failed)} records failed, {left} undelivered: {failed[:3]}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
