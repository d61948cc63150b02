"""Produces bad messages of many kinds, each between good neighbours in the same partition.

--out gets all of them as produce.py writes them, the bad ones without a record. --bad gets a line for each bad one: kind, the codes that are right for it,
partition, offset, the message in base64. Every message has a key and a header of its own.
"""

import argparse
import base64
import copy
import io
import json
import math
import time

import fastavro
import fastavro.schema
from confluent_kafka import Producer

from policy import Policy
from produce import register
from records import DAY, Generator, flat, load

PARTITION = 0


def varint(number):
    """Avro's zigzag varint."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append((number & 0x7F) | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


class Bodies:
    """Encodes the probe's record field by field, so that any one field can be given other bytes."""

    def __init__(self, schema, generator):
        self.fields = schema["fields"]
        self.generator = generator

    def with_bytes(self, **raw):
        """A body in which the named fields are `raw`; `stop_after` ends it after a field."""
        stop = raw.pop("stop_after", None)
        record = self.generator.record()
        out = b""
        for field in self.fields:
            if field["name"] in raw:
                out += raw[field["name"]]
            else:
                part = io.BytesIO()
                kind = fastavro.parse_schema(copy.deepcopy(field["type"]))
                fastavro.schemaless_writer(part, kind, record[field["name"]])
                out += part.getvalue()
            if field["name"] == stop:
                break
        return out


def kinds(bodies, header, other, wide):
    """Every kind: its name, the codes that are right, the message."""
    now = int(time.time() * 1000)
    good = bodies.with_bytes()

    def at(millis):
        return header + bodies.with_bytes(at=varint(1) + varint(millis))

    def field(**raw):
        return header + bodies.with_bytes(**raw)

    truncated, bad, either = ["truncated"], ["bad_body"], ["bad_body", "truncated"]
    yield "no value", ["tombstone"], None
    yield "no bytes", ["empty"], b""
    yield "wrong magic", ["bad_magic"], b"\x07" + header[1:] + good
    yield "JSON", ["bad_magic"], b'{"probe_id": "0b3a6a4e", "body": "marker-json-body"}'
    yield "text", ["bad_magic"], b"marker-plain-text"
    yield "three bytes of a frame", truncated, header[:3]
    yield "magic alone", truncated, header[:1]
    yield "unknown schema id", ["unknown_schema"], b"\x00\x7f\xff\xff\xff" + good
    yield "schema id with its highest bit", ["unknown_schema"], b"\x00\xff\xff\xff\xfe" + good
    yield "unknown fingerprint", ["unknown_schema"], b"\xc3\x01" + b"\x11" * 8 + good
    yield "half a fingerprint", truncated, b"\xc3\x01" + b"\x11" * 3
    yield "frame without a body", truncated, header
    yield "body cut in the middle", truncated, header + good[: len(good) // 2]
    yield "body without its last field", truncated, field(stop_after="place")
    yield "bytes left over", ["trailing_bytes"], header + good + b"marker-left-over"
    yield "two records in one", ["trailing_bytes"], header + good + good
    yield "enum index too high", bad, field(status=varint(2))
    yield "enum index negative", bad, field(status=varint(-1))
    yield "union branch too high", bad, field(body=varint(2))
    yield "union branch negative", bad, field(body=varint(-1))
    yield "boolean of 2", bad, field(place=varint(0) + b"\x02" + b"abcd")
    yield "string not UTF-8", ["bad_utf8"], field(customer_id=varint(4) + b"\xff\xfe\xfd\xfc")
    yield "half a character", ["bad_utf8"], field(body=varint(1) + varint(2) + b"\xe2\x82")
    yield "negative string length", bad, field(customer_id=varint(-5))
    yield "enormous string length", either, field(customer_id=varint(2**61), stop_after="customer_id")
    yield "a billion list items", either, field(tags=varint(10**9), stop_after="tags")
    yield "block count of the least number", either, field(tags=varint(-(2**63)) + varint(10), stop_after="tags")
    yield "map that never ends", either, field(labels=varint(3) + varint(1) + b"a", stop_after="labels")
    yield "decimal of twenty bytes", bad, field(price=varint(1) + varint(20) + b"\x7f" * 20)
    yield "uuid that is none", bad, field(probe_id=varint(10) + b"marker-id!")
    yield "varint of eleven bytes", bad, field(customer_id=b"\xff" * 11)
    yield "no event time", ["missing_event_time"], field(at=varint(0))
    # These fit no calendar, and in microseconds not even their own type: either code is right.
    yield "event time of the greatest number", ["absurd_event_time", "bad_body"], at(2**63 - 1)
    yield "event time of the least number", ["absurd_event_time", "bad_body"], at(-(2**63))
    yield "event time of 1970", ["absurd_event_time"], at(0)
    yield "year 9999", ["future_event_time", "absurd_event_time"], at(253402214400000)
    yield "in three days", ["future_event_time"], at(now + 3 * DAY)
    yield "ten megabytes", ["too_large"], field(body=varint(1) + varint(10**7) + b"x" * 10**7)
    yield "schema that does not resolve", ["incompatible_schema"], other + varint(5) + b"abcde"
    yield "a billion nulls", either, wide + good + varint(10**9)


def single_object(schema):
    """The header of a single-object encoding."""
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    fingerprint = fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
    # The library writes the fingerprint's hex in the order of its bytes on the wire.
    return b"\xc3\x01" + bytes.fromhex(fingerprint)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--bad", required=True)
    args = parser.parse_args()

    policy = Policy(args.policy)
    product = policy.products()["probe"]
    topic = product["topics"][0]
    schema = load(policy.schema_path("probe"))
    parsed = fastavro.parse_schema(copy.deepcopy(schema))
    generator = Generator(schema, product, "bad", int(time.time() * 1000), ages=False)
    bodies = Bodies(schema, generator)

    def frame(subject, schema):
        return b"\x00" + register(args.registry, f"{topic}-{subject}", schema).to_bytes(4, "big")

    header = frame("value", schema)
    other = frame("other", {"type": "record", "name": "Probe", "namespace": "ebbtide.tests", "fields": [{"name": "at", "type": "string"}]})
    wide = copy.deepcopy(schema)
    wide["fields"].append({"name": "nothings", "type": {"type": "array", "items": "null"}, "doc": "Nobody's."})
    wide_header = frame("wide", wide)

    settings = {"bootstrap.servers": args.bootstrap, "enable.idempotence": True, "message.max.bytes": 30000000}
    producer = Producer(settings)
    lines, bad_lines, failed = [], [], []

    def send(message, done):
        number = len(lines)

        def delivered(error, at):
            if error is None:
                done(at, number)
            else:
                failed.append(str(error))

        producer.produce(topic, message, key=f"key-{number}", headers={"trace": f"t-{number}"}, partition=PARTITION, on_delivery=delivered)
        producer.flush(60)

    def send_good(nth):
        record = generator.record()
        if nth % 7 == 0:
            record["ratio"] = math.nan
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed, record)
        # Every fifth travels as a single object, and every other fifth under a newer schema with a field that the policy does not name.
        start = single_object(schema) if nth % 5 == 1 else wide_header if nth % 5 == 3 else header
        end = varint(2) + varint(0) if start is wide_header else b""
        columns = flat(schema, record)
        if nth % 7 == 0:
            columns["ratio"] = "NaN"

        def done(at, number):
            line = {"product": "probe", "topic": at.topic(), "partition": at.partition(), "offset": at.offset()}
            lines.append(line | {"timestamp": at.timestamp()[1], "record": columns})

        send(start + body.getvalue() + end, done)

    nth = 0
    for kind, codes, message in kinds(bodies, header, other, wide_header):
        send_good(nth)

        def done(at, number, kind=kind, codes=codes, message=message):
            place = {"product": "probe", "topic": at.topic(), "partition": at.partition(), "offset": at.offset()}
            lines.append(place | {"timestamp": at.timestamp()[1], "record": None})
            line = {"kind": kind, "codes": codes, "partition": at.partition(), "offset": at.offset()}
            encoded = None if message is None else base64.b64encode(message).decode()
            bad_lines.append(line | {"value": encoded, "trace": f"t-{number}"})

        send(message, done)
        send_good(nth + 1)
        nth += 2
    assert not failed, failed
    for path, lines in ((args.out, lines), (args.bad, bad_lines)):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
