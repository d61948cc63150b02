"""Administration of the broker: creates topics, prints their end offsets, writes out the messages of a topic, sends messages.

`say TOPIC` (each line of the file `--lines` a message), `create TOPIC...`, `delete TOPIC...`, `deny TOPIC...` (the operation `--operation`),
`allow TOPIC...` (everything), `delete-before TOPIC` (as retention does: partition `--partition` begins at `--offset`), `ends TOPIC...` (JSON: topic to
the list of its partitions' next offsets), `dump TOPIC` (a JSON line for each message: partition, offset, headers by name, key and value in base64).
"""

import argparse
import base64
import json
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, NewTopic, ResourcePatternType, ResourceType


def create(args):
    admin = AdminClient({"bootstrap.servers": args.bootstrap})
    config = dict(pair.split("=", 1) for pair in args.config)
    wanted = [NewTopic(topic, args.partitions, 1, config=config) for topic in args.topics]
    deadline = time.monotonic() + 60
    while wanted:
        left = []
        for topic, done in admin.create_topics(wanted, operation_timeout=20, request_timeout=20).items():
            try:
                done.result()
            except KafkaException as error:
                if "already exists" not in str(error):
                    if time.monotonic() > deadline:
                        raise
                    left += [new for new in wanted if new.topic == topic]
        wanted = left
        if wanted:
            time.sleep(0.5)


def delete(args):
    admin = AdminClient({"bootstrap.servers": args.bootstrap})
    for done in admin.delete_topics(args.topics, operation_timeout=20).values():
        done.result()


def delete_before(args):
    admin = AdminClient({"bootstrap.servers": args.bootstrap})
    for done in admin.delete_records([TopicPartition(args.topics[0], args.partition, args.offset)]).values():
        done.result()


def consumer(args):
    return Consumer({"bootstrap.servers": args.bootstrap, "group.id": "errand", "enable.auto.commit": False})


def ends_of(client, topic):
    partitions = client.list_topics(topic, timeout=20).topics[topic].partitions
    return [client.get_watermark_offsets(TopicPartition(topic, p), timeout=20)[1] for p in sorted(partitions)]


def ends(args):
    client = consumer(args)
    print(json.dumps({topic: ends_of(client, topic) for topic in args.topics}))


def dump(args):
    client = consumer(args)
    for topic in args.topics:
        ends = ends_of(client, topic)
        missing = {p for p, end in enumerate(ends) if end > 0}
        client.assign([TopicPartition(topic, p, 0) for p in missing])
        deadline = time.monotonic() + 60
        while missing and time.monotonic() < deadline:
            message = client.poll(1)
            if message is None or message.error():
                continue
            headers = {name: value.decode("utf-8", "replace") for name, value in message.headers() or []}
            encoded = [None if part is None else base64.b64encode(part).decode() for part in (message.key(), message.value())]
            line = {"partition": message.partition(), "offset": message.offset(), "headers": headers}
            print(json.dumps(line | {"key": encoded[0], "value": encoded[1]}))
            if message.offset() + 1 >= ends[message.partition()]:
                missing.discard(message.partition())
        if missing:
            sys.exit(f"partitions {missing} of {topic} were not read to their end")


def say(args):
    client = Producer({"bootstrap.servers": args.bootstrap, "acks": "all"})
    with open(args.lines, encoding="utf-8") as file:
        for line in file:
            client.produce(args.topics[0], line.rstrip("\n").encode())
    if client.flush(30) > 0:
        sys.exit("not all was taken")


def deny(args):
    """Denies everyone one operation on each topic, and allows the rest: a resource with any list has no other permission."""
    admin = AdminClient({"bootstrap.servers": args.bootstrap})

    def binding(topic, operation, permission):
        return AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)

    lists = [binding(topic, AclOperation.ALL, AclPermissionType.ALLOW) for topic in args.topics]
    lists += [binding(topic, AclOperation[args.operation.upper()], AclPermissionType.DENY) for topic in args.topics]
    for done in admin.create_acls(lists).values():
        done.result(20)


def allow(args):
    """Removes all lists of each topic, so that everyone may do everything."""
    admin = AdminClient({"bootstrap.servers": args.bootstrap})
    anything = (AclOperation.ANY, AclPermissionType.ANY)
    lists = [AclBindingFilter(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, None, None, *anything) for topic in args.topics]
    for done in admin.delete_acls(lists).values():
        done.result(20)


ERRANDS = {"allow": allow, "create": create, "delete": delete, "delete-before": delete_before, "ends": ends, "deny": deny, "dump": dump, "say": say}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("errand", choices=list(ERRANDS))
    parser.add_argument("topics", nargs="+")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--config", action="append", default=[], help="a topic's setting: retention.ms=60000")
    parser.add_argument("--operation", help="what to deny: read, describe, describe_configs")
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--offset", type=int, help="the first offset that stays")
    parser.add_argument("--lines", help="a file of messages")
    args = parser.parse_args()
    ERRANDS[args.errand](args)


if __name__ == "__main__":
    main()
