"""A member of a consumer group with an assignment strategy of its own, until it is killed. Prints `joined` at each assignment."""

import argparse

from confluent_kafka import Consumer

parser = argparse.ArgumentParser()
parser.add_argument("topic")
parser.add_argument("--bootstrap", required=True)
parser.add_argument("--group", required=True)
parser.add_argument("--strategy", required=True)
args = parser.parse_args()

settings = {
    "bootstrap.servers": args.bootstrap,
    "group.id": args.group,
    "partition.assignment.strategy": args.strategy,
    "session.timeout.ms": 20000,
    "enable.auto.commit": False,
}
member = Consumer(settings)
member.subscribe([args.topic], on_assign=lambda *_: print("joined", flush=True))
while True:
    member.poll(1)
