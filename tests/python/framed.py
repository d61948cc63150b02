"""Produces records of one product under the writers' schemas of a plan, each message framed as the plan says.

The plan is a JSON list of messages: `partition`; `frame` (`confluent`, the default, or `single`); `id` of the frame, or `register`, the schemas
to register before it (each with `subject`, `schema` and `references`; the last one's id is the frame's); `head` and `tail`, bytes in hex before and
after the record; `set`, values of fields; and `expect`: `stored`, `skipped`, or the code of its dead letter. --out gets each message that is not
skipped as produce.py writes it; --sent a line for each: its place in the plan, partition, offset, id.
"""

import argparse
import io
import json
import time
import urllib.request

import fastavro
from confluent_kafka import Producer

from bad_input import single_object
from policy import Policy
from records import Generator, flat, load


def register(registry, subject, schema, references):
    body = json.dumps({"schema": json.dumps(schema), "references": references}).encode()
    url = f"{registry}/apis/ccompat/v7/subjects/{subject}/versions"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["id"]


def main():
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "registry", "policy", "plan", "out", "sent"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    policy = Policy(args.policy)
    (name, product), *_ = policy.products().items()
    topic = product["topics"][0]
    schema = load(policy.schema_path(name))
    parsed = fastavro.parse_schema(load(policy.schema_path(name)))
    generator = Generator(schema, product, f"framed/{args.plan}", int(time.time() * 1000), ages=False)
    producer = Producer({"bootstrap.servers": args.bootstrap, "enable.idempotence": True})
    lines, sent, failed = [], [], []

    def delivered(error, at, message, number, record):
        if error is not None:
            failed.append(str(error))
            return
        place = {"product": name, "topic": at.topic(), "partition": at.partition(), "offset": at.offset()}
        sent.append({"number": number, "partition": at.partition(), "offset": at.offset(), "id": message.get("id")})
        if message["expect"] != "skipped":
            stored = flat(schema, record) if message["expect"] == "stored" else None
            lines.append(place | {"timestamp": at.timestamp()[1], "record": stored})

    with open(args.plan, encoding="utf-8") as file:
        plan = json.load(file)
    for number, message in enumerate(plan):
        for one in message.get("register", []):
            message["id"] = register(args.registry, one["subject"], one["schema"], one.get("references", []))
        record = generator.record() | message.get("set", {})
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed, record)
        frame = single_object(message["writer"]) if message.get("frame") == "single" else b"\x00" + message["id"].to_bytes(4, "big")
        value = frame + bytes.fromhex(message.get("head", "")) + body.getvalue() + bytes.fromhex(message.get("tail", ""))

        def done(error, at, message=message, number=number, record=record):
            delivered(error, at, message, number, record)

        producer.produce(topic, value, partition=message.get("partition", 0), on_delivery=done)
        producer.flush(60)
    assert not failed and len(sent) == len(plan), failed
    for path, written in ((args.out, lines), (args.sent, sent)):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in written)


if __name__ == "__main__":
    main()
