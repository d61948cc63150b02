"""Produces one record of the probe for each recipient of a JSON list, with the recipient as it is written there."""

import argparse
import copy
import io
import json
import time

import fastavro
from confluent_kafka import Producer

from policy import Policy
from produce import register
from records import Generator, load


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--recipients", required=True)
    args = parser.parse_args()

    policy = Policy(args.policy)
    product = policy.products()["probe"]
    topic = product["topics"][0]
    schema = load(policy.schema_path("probe"))
    parsed = fastavro.parse_schema(copy.deepcopy(schema))
    header = b"\x00" + register(args.registry, f"{topic}-value", schema).to_bytes(4, "big")
    now = int(time.time() * 1000)
    generator = Generator(schema, product, "spellings", now, ages=False)
    producer = Producer({"bootstrap.servers": args.bootstrap, "enable.idempotence": True})
    failed = []

    def delivered(error, _):
        if error is not None:
            failed.append(str(error))

    with open(args.recipients, encoding="utf-8") as file:
        recipients = json.load(file)
    for recipient in recipients:
        record = generator.record() | {"recipient": recipient, "at": now}
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed, record)
        producer.produce(topic, header + body.getvalue(), partition=0, on_delivery=delivered)
    producer.flush(60)
    if failed:
        raise SystemExit(f"{len(failed)} were not delivered: {failed[0]}")


if __name__ == "__main__":
    main()
