"""The servers and clients of a history of topics: a schema registry that lags, a broker's administration, producers, and a running instance."""

import http.server
import json
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from topic_model import Sent

# The errors of a client about a topic that was just created again.
UNKNOWN = {KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART}
GUARD = pathlib.Path(__file__).parent.parent / "servers" / "guard"


def free_port():
    """Returns a port that nothing listens on, below the range from which the system takes its own."""
    for port in random.sample(range(20_000, 32_000), 1000):
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("no free port between 20000 and 32000")


class LaggingRegistry:
    """Answers `/schemas/ids/N`; an id is unknown for its own lag after it was first asked for, as servers of one registry are."""

    def __init__(self):
        self.schemas, self.lags, self.first_asked = {}, {}, {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = re.search(r"/schemas/ids/(\d+)", self.path)
                status, body = outer.answer(int(found.group(1)) if found else -1)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, id):
        first = self.first_asked.setdefault(id, time.monotonic())
        if id not in self.schemas or time.monotonic() - first < self.lags.get(id, 0):
            return 404, {"error_code": 40403, "message": "Schema not found"}
        return 200, {"schema": json.dumps(self.schemas[id])}

    def register(self, schema, lag=0.0):
        """Registers a schema that is unknown for `lag` seconds after it is first asked for. Returns its id."""
        id = 1 + len(self.schemas)
        self.lags[id] = lag
        self.schemas[id] = schema
        return id


def zigzag(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def text(value):
    data = value.encode()
    return zigzag(len(data)) + data


def frame(schema_id, id, at):
    """A message with the fields `id`, `at` (milliseconds) and `caller` in Confluent's frame."""
    return b"\0" + struct.pack(">I", schema_id) + text(id) + zigzag(at) + text("+31612345678")


class Broker:
    """A broker's administration and its producers."""

    def __init__(self, bootstrap, transactional_id):
        self.bootstrap, self.transactional_id = bootstrap, transactional_id
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.renew_producers()
        self.watermarks = Consumer({"bootstrap.servers": bootstrap, "group.id": "topic-histories-watermarks"})

    def renew_producers(self):
        servers = {"bootstrap.servers": self.bootstrap, "linger.ms": 0}
        self.plain = Producer({**servers, "enable.idempotence": True})
        self.transactional = Producer({**servers, "transactional.id": self.transactional_id})
        self.transactional.init_transactions(60)

    def create(self, names, partitions, config):
        """Creates topics; a name that was deleted a moment ago is tried again."""
        wanted, until = set(names), time.monotonic() + 60
        while wanted:
            new = [NewTopic(name, partitions, 1, config=config) for name in wanted]
            for name, done in self.admin.create_topics(new, operation_timeout=20).items():
                try:
                    done.result()
                    wanted.discard(name)
                except KafkaException:
                    if time.monotonic() > until:
                        raise
            if wanted:
                time.sleep(0.2)

    def delete(self, names):
        for done in self.admin.delete_topics(names, operation_timeout=20).values():
            done.result()

    def topic_id(self, name):
        """The topic's id as a string; None while the broker does not know the topic."""
        try:
            return str(self.admin.describe_topics(TopicCollection([name]))[name].result().topic_id)
        except KafkaException:
            return None

    def recreate(self, name, partitions, config):
        """Deletes a topic, creates it again and waits until the broker knows the new one by its id."""
        old, until = self.topic_id(name), time.monotonic() + 60
        self.delete([name])
        self.create([name], partitions, config)
        while self.topic_id(name) in (None, old):
            if time.monotonic() > until:
                raise RuntimeError(f"{name} is not known by a new id")
            time.sleep(0.05)
        # A producer that knows the old topic gets acknowledgements for records that are nowhere: two in a hundred topics.
        self.renew_producers()

    def set(self, topic, key, value):
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for done in self.admin.incremental_alter_configs([resource]).values():
            done.result()

    def delete_before(self, topic, partition, offset):
        """Deletes as retention does: the log begins at `offset`; -1 is its end. Returns the offset at which it begins now."""
        until = time.monotonic() + 30
        while True:
            done = self.admin.delete_records([TopicPartition(topic, partition, offset)])
            try:
                return next(iter(done.values())).result().low_watermark
            except KafkaException:
                # A client that knows the topic from before it was created again asks the wrong leader first.
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def send(self, producer, topic, messages, aborted=False):
        """Sends (partition, key, value, id) and returns what the broker acknowledged."""
        sent, until = [], time.monotonic() + 30
        while messages:
            failed = []

            def delivered(item):
                def callback(error, message):
                    if error is not None:
                        failed.append((item, error))
                    else:
                        offset = self.offset_of(topic, message)
                        sent.append(Sent(message.partition(), offset, item[3], aborted))

                return callback

            for item in messages:
                try:
                    producer.produce(topic, item[2], item[1], item[0], on_delivery=delivered(item))
                except KafkaException as error:
                    failed.append((item, error.args[0]))
            if producer.flush(60) or (failed and time.monotonic() > until):
                raise RuntimeError(f"not all was acknowledged: {[error for _, error in failed]}")
            # A producer that knows the topic from before it was created again learns of its partitions late.
            messages = [item for item, error in failed if error.code() in UNKNOWN]
            if len(messages) < len(failed):
                raise RuntimeError(f"not all was acknowledged: {[error for _, error in failed]}")
            time.sleep(0.2 if messages else 0)
        return sent

    def offset_of(self, topic, message):
        """The offset of an acknowledged message; an upper bound where the broker only said that it had it already."""
        if message.offset() is not None:
            return message.offset()
        return self.watermarks.get_watermark_offsets(TopicPartition(topic, message.partition()), timeout=20)[1] - 1

    def transaction(self, topic, messages, commit, meanwhile=None):
        """Sends messages in one transaction; `meanwhile` runs while it is open. Returns what was acknowledged."""
        self.transactional.begin_transaction()
        sent = self.send(self.transactional, topic, messages, aborted=not commit)
        sent += meanwhile() if meanwhile else []
        if commit:
            self.transactional.commit_transaction(60)
        else:
            self.transactional.abort_transaction(60)
        return sent

    def readable(self, topic, partitions):
        """All messages that a consumer of committed records is given: (partition, offset, headers, value)."""
        consumer = Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": "topic-histories-reader", "enable.auto.commit": False,
            "isolation.level": "read_committed", "enable.partition.eof": True, "auto.offset.reset": "earliest",
        })
        messages, open_ones = [], set(range(partitions))
        consumer.assign([TopicPartition(topic, partition, 0) for partition in open_ones])
        until = time.monotonic() + 180
        while open_ones and time.monotonic() < until:
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error():
                # Only the end of a partition is expected here.
                open_ones.discard(message.partition())
                continue
            messages.append((message.partition(), message.offset(), dict(message.headers() or []), message.value()))
        consumer.close()
        if open_ones:
            raise RuntimeError(f"{topic}: partitions {open_ones} were not read to their end")
        return messages


class Instance:
    """A running `ebbtide run`, under a guard that ends it with this process."""

    def __init__(self, program, config, log):
        self.port = free_port()
        pid_file = pathlib.Path(f"{log}.pid")
        pid_file.unlink(missing_ok=True)
        self.log = pathlib.Path(log)
        with open(log, "ab") as out:
            self.guard = subprocess.Popen(
                [GUARD, pid_file, program, "run", "--config", config], stdin=subprocess.PIPE, stdout=out, stderr=out,
                env={**os.environ, "EBBTIDE_HTTP_LISTEN": f"127.0.0.1:{self.port}"})
        until = time.monotonic() + 20
        while not (pid_file.exists() and pid_file.read_text().strip()):
            if time.monotonic() > until:
                raise RuntimeError("the instance did not start")
            time.sleep(0.02)
        self.pid = int(pid_file.read_text())

    def signal(self, name):
        subprocess.run(["kill", f"-{name}", str(self.pid)], check=False)

    def end(self, name):
        """Ends it by a signal and waits."""
        self.signal(name)
        self.guard.wait(120)

    def has_ended(self):
        return self.guard.poll() is not None

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None, ""

    def series(self, name):
        """The values of a metric by topic and partition."""
        values = {}
        for line in self.get("/metrics")[1].splitlines():
            series, _, number = line.rpartition(" ")
            if series.startswith(name + "{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
                values[labels.get("topic"), int(labels.get("partition", -1))] = float(number)
        return values

    def tail(self):
        return "\n".join(line[:400] for line in self.log.read_text(errors="replace").splitlines()[-30:])
