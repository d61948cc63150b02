"""Random histories of Kafka topics, many side by side in one running instance, judged after each round by a foreign reader.

What happens to a topic: plain records, committed and aborted transactions, records while a transaction is open, records that
cannot be decoded, schemas that the registry learns late, retention, compaction, records deleted before they were read, and
topics that are deleted and created again. What happens to the instance: it is killed, stopped and started. The dead-letter
topic of every other group refuses large letters. The model (`topic_model.py`) says what each table must hold.

Usage: topic_histories.py PROGRAM BOOTSTRAP FOLDER FIRST_SEED HISTORIES SIDE_BY_SIDE ROUNDS. SIDE_BY_SIDE histories share one instance.
Prints each fault with its seed, and exits 1 if there is one.
"""

import json
import pathlib
import random
import subprocess
import sys
import time

import deltalake

from topic_model import Topic
from topic_servers import Broker, Instance, LaggingRegistry, frame

PARTITIONS = 2
# The limit of the dead-letter topic in groups where it refuses large letters, and the size of a large record.
LETTER_LIMIT, LARGE = 2_000, 6_000
PATIENCE = 300

SCHEMA = {
    "type": "record", "name": "Call", "namespace": "histories",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "caller", "type": "string"},
    ],
}

PRODUCT = """\
  {product}:
    topics: [{topic}]
    schema: call.avsc
    event_time: at
    jurisdiction: NL
    subjects: {{ caller: phone }}
    fields: {{ id: traffic_data, at: traffic_data, caller: phone_number }}
    end: remove
"""

POLICY = """\
version: "topics"
zone: Europe/Amsterdam
bucket: day
categories:
  phone_number: {{ term: pd:TelephoneNumber }}
  traffic_data: {{ term: pd:CommunicationsMetadata }}
products:
{products}rules:
  - id: default
    products: [{names}]
    keep: 6 months
    boundary: at_most
    bases: [eu-gdpr:A6-1-b]
    purposes: [dpv:ServiceProvision]
    source: "test"
"""

CONFIG = """\
policy: {folder}/policy.yaml
root: {folder}/store
kafka:
  bootstrap_servers: {bootstrap}
  group: {tag}
  dead_letter_topic: {dead}
  retention_check: warn
  properties:
    session.timeout.ms: 2000
    heartbeat.interval.ms: 500
    statistics.interval.ms: 500
schemas:
  registry:
    url: {registry}
ingest:
  commit_age: 200ms
  lanes: 2
sweep:
  every: 1h
log:
  format: json
  level: info,rdkafka=warn
http:
  listen: 127.0.0.1:9464
"""


class Group:
    """Histories side by side: their topics, the instance that reads them, and the model of each."""

    def __init__(self, program, bootstrap, folder, seed, count, refuses):
        self.program, self.folder, self.seed = program, folder, seed
        self.random = random.Random(seed)
        self.tag = f"topics{seed}"
        self.dead = f"{self.tag}.dead"
        self.broker = Broker(bootstrap, f"{self.tag}-transactions")
        self.registry = LaggingRegistry()
        self.refuses = refuses
        self.topics = [
            Topic(f"{self.tag}.t{n}", f"p{n}", PARTITIONS, self.random.random() < 0.25) for n in range(count)
        ]
        self.made, self.kills, self.instance = 0, 0, None
        self.schema = self.registry.register(SCHEMA)
        self.prepare(bootstrap)

    def prepare(self, bootstrap):
        self.folder.mkdir(parents=True)
        for compacted in (False, True):
            names = [topic.name for topic in self.topics if topic.compacted == compacted]
            if names:
                self.broker.create(names, PARTITIONS, self.topic_config(compacted))
        limit = {"max.message.bytes": str(LETTER_LIMIT)} if self.refuses else {}
        self.broker.create([self.dead], 1, limit)
        (self.folder / "call.avsc").write_text(json.dumps(SCHEMA))
        products = "".join(PRODUCT.format(product=topic.product, topic=topic.name) for topic in self.topics)
        names = ", ".join(topic.product for topic in self.topics)
        (self.folder / "policy.yaml").write_text(POLICY.format(products=products, names=names))
        self.config = self.folder / "ebbtide.yaml"
        self.config.write_text(CONFIG.format(
            folder=self.folder, bootstrap=bootstrap, tag=self.tag, dead=self.dead, registry=self.registry.url))

    @staticmethod
    def topic_config(compacted):
        if not compacted:
            return {"retention.ms": "-1"}
        return {
            "cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001",
            "min.compaction.lag.ms": "0", "delete.retention.ms": "0",
        }

    # The instance ------------------------------------------------------------------------------------------------

    def start(self):
        self.instance = Instance(self.program, self.config, self.folder / "ebbtide.log")

    def end(self, signal):
        self.instance.end(signal)
        self.kills += signal == "KILL"
        self.instance = None

    # Messages ----------------------------------------------------------------------------------------------------

    def messages(self, topic, count, schema=None):
        """New records with keys that repeat, so that compaction finds work."""
        made = []
        for _ in range(count):
            self.made += 1
            id = f"{self.seed}-{self.made}"
            at = int(time.time() * 1000) - self.random.randrange(3_600_000)
            key = str(self.random.randrange(4)).encode()
            value = frame(schema or self.schema, id, at)
            made.append((self.random.randrange(topic.partitions), key, value, id))
        return made

    def bad_messages(self, topic):
        """A record whose body cannot be decoded, sometimes larger than the dead-letter topic takes, among good ones."""
        size = LARGE if self.random.random() < 0.5 else self.random.randrange(1, 40)
        bad = b"\0" + self.schema.to_bytes(4, "big") + b"\xff" * size
        key = f"bad{self.made}".encode()
        return [*self.messages(topic, 2), (self.random.randrange(topic.partitions), key, bad, None), *self.messages(topic, 2)]

    # What happens to a topic -------------------------------------------------------------------------------------

    def plain(self, topic):
        topic.add(self.broker.send(self.broker.plain, topic.name, self.messages(topic, self.random.randrange(1, 12))))

    def committed(self, topic):
        topic.add(self.broker.transaction(topic.name, self.messages(topic, self.random.randrange(1, 8)), True))

    def aborted(self, topic):
        topic.add(self.broker.transaction(topic.name, self.messages(topic, self.random.randrange(1, 8)), False))

    def mixed(self, topic):
        """Plain records between those of an open transaction."""
        def meanwhile():
            sent = self.broker.send(self.broker.plain, topic.name, self.messages(topic, 3))
            time.sleep(self.random.random() * 0.3)
            return sent

        commit = self.random.random() < 0.5
        topic.add(self.broker.transaction(topic.name, self.messages(topic, 4), commit, meanwhile))

    def bad(self, topic):
        # In a compacted topic a bad record may be compacted away before it is read; its key is its own.
        topic.add(self.broker.send(self.broker.plain, topic.name, self.bad_messages(topic)))

    def new_schema(self, topic):
        schema = {**SCHEMA, "doc": f"version {self.made}"}
        id = self.registry.register(schema, lag=self.random.choice([0, 0.5, 2.0]))
        topic.add(self.broker.send(self.broker.plain, topic.name, self.messages(topic, 4, id)))

    def retained(self, topic):
        """Everything was read; the broker deletes all of it, or a part."""
        if not topic.compacted and not topic.pending:
            for partition in range(topic.partitions):
                if self.random.random() < 0.7:
                    self.broker.delete_before(topic.name, partition, -1)

    def lose(self, topic):
        """Only while the instance does not run: records are deleted before they were read."""
        if topic.compacted:
            return
        topic.add(self.broker.send(self.broker.plain, topic.name, self.messages(topic, 8)))
        partition = self.random.randrange(topic.partitions)
        offsets = [record.offset for record in topic.pending if record.partition == partition]
        if offsets:
            begins = self.broker.delete_before(topic.name, partition, self.random.choice(offsets) + 1)
            topic.delete_before(partition, begins)

    def recreate(self, topic):
        """Deletes the topic and creates it again, sometimes already longer than the old one."""
        if topic.pending or topic.refused or not topic.stored | topic.may_be_stored:
            return
        self.broker.recreate(topic.name, PARTITIONS, self.topic_config(topic.compacted))
        topic.recreate()
        topic.add(self.broker.send(self.broker.plain, topic.name, self.messages(topic, self.random.choice([0, 3, 60]))))
        if not topic.compacted:
            topic.keep(self.readable_ids(topic))

    def happen(self, running):
        """One thing happens to each topic."""
        live = [self.plain, self.committed, self.aborted, self.mixed, self.bad, self.new_schema, self.retained]
        stopped = [*live, self.lose, self.recreate]
        for topic in self.topics:
            if not topic.refused:
                topic.events.append("running" if running else "stopped")
                self.random.choice([*live, self.recreate] if running else stopped)(topic)

    # What is checked ---------------------------------------------------------------------------------------------

    def wait(self, what, done):
        """Waits until `done` returns nothing that is missing."""
        until = time.monotonic() + PATIENCE
        while True:
            if self.instance.has_ended():
                raise RuntimeError(f"the instance ended:\n{self.instance.tail()}")
            missing = done()
            if not missing:
                return
            if time.monotonic() > until:
                raise RuntimeError(f"{what}: not within {PATIENCE} s: {missing}\n{self.instance.tail()}")
            time.sleep(0.1)

    def offsets(self, product):
        """The next offset of each partition by the table's own log."""
        found = {}
        log = self.folder / "store" / "tables" / product / "_delta_log"
        for entry in sorted(log.glob("*.json")):
            for line in entry.read_text().splitlines():
                txn = json.loads(line).get("txn")
                if txn and txn["appId"].startswith("ebbtide/"):
                    found[txn["appId"].rsplit("/", 1)[1]] = txn["version"]
        return found

    def behind(self):
        missing = []
        for topic in self.topics:
            last = topic.last_readable()
            if last:
                offsets = self.offsets(topic.product)
                missing += [(topic.name, p, o) for p, o in last.items() if offsets.get(str(p), 0) <= o]
        return missing[:3]

    def not_refused(self):
        refused = self.instance.series("ebbtide_refused_partitions")
        expected = {(topic.name, partition) for topic in self.topics for partition in topic.refused}
        found = {of for of, value in refused.items() if value == 1}
        return sorted(expected ^ found)[:3]

    def lagging(self):
        found = []
        for name in ("ebbtide_ingest_lag_records", "ebbtide_ingest_lag_seconds"):
            found += [(name, of, value) for of, value in self.instance.series(name).items() if value != 0 and of[0]]
        return found[:3]

    def accept_losses(self):
        for topic in self.topics:
            for partition in sorted(topic.refused):
                self.command("partition", "accept-loss", "--config", self.config, "--topic", topic.name, "--partition", partition)
            topic.accept()

    def command(self, *words):
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{words} exits {done.returncode}:\n{done.stdout}{done.stderr}")

    def catch_up(self):
        """Waits until all that is readable is committed, decides what is refused, and judges every table."""
        self.wait("refused partitions", self.not_refused)
        if any(topic.refused for topic in self.topics):
            self.wait("commits beside refused partitions", self.behind)
            self.accept_losses()
            self.wait("partitions read again after the decision", self.not_refused)
        self.wait("commits", self.behind)
        self.wait("lag", self.lagging)
        for topic in self.topics:
            topic.caught_up()

    def judge(self):
        faults = []
        for topic in self.topics:
            path = self.folder / "store" / "tables" / topic.product
            rows = []
            if topic.stored or topic.may_be_stored or topic.aborted:
                rows = deltalake.DeltaTable(str(path)).to_pyarrow_table(columns=["id"])["id"].to_pylist()
            readable = set()
            if topic.may_be_stored:
                readable = self.readable_ids(topic)
            faults += topic.faults(rows, readable)
        return faults + self.letter_faults()

    def readable_ids(self, topic):
        ids = set()
        for _, _, _, value in self.broker.readable(topic.name, topic.partitions):
            if value and value[5:6] != b"\xff":
                length = value[5] >> 1
                ids.add(value[6:6 + length].decode())
        return ids

    def letter_faults(self):
        """Each record that cannot be decoded has its letter; exactly one unless the instance was killed."""
        letters = {}
        for _, _, headers, _ in self.broker.readable(self.dead, 1):
            source = (headers["ebbtide.topic"].decode(), int(headers["ebbtide.partition"]), int(headers["ebbtide.offset"]))
            letters[source] = letters.get(source, 0) + 1
        expected = {(topic.name, partition, offset) for topic in self.topics for _, partition, offset in topic.dead}
        compacted = {topic.name for topic in self.topics if topic.compacted}
        faults = [f"no dead letter for {of}" for of in sorted(expected - letters.keys()) if of[0] not in compacted]
        faults += [f"a dead letter for {of}, which was decodable" for of in sorted(letters.keys() - expected)]
        # After a topic was created again an offset may be that of two records.
        reused = {topic.name for topic in self.topics if topic.generation > 0}
        if self.kills == 0:
            faults += [f"{n} dead letters for {of}" for of, n in letters.items() if n > 1 and of[0] not in reused]
        return faults

    def run(self, rounds):
        """Plays the histories. Returns what is wrong."""
        self.start()
        for number in range(rounds):
            self.happen(running=True)
            if self.random.random() < 0.5:
                self.end(self.random.choice(["KILL", "TERM"]))
                if self.random.random() < 0.5:
                    self.start()
                    self.catch_up()
                    self.end("TERM")
                    self.happen(running=False)
                self.start()
            self.catch_up()
            faults = self.judge()
            if faults:
                return [f"seed {self.seed}, round {number}: {fault}" for fault in faults]
        self.end("TERM")
        for topic in self.topics:
            self.command("table", "audit", topic.product, "--root", self.folder / "store")
        self.broker.delete([topic.name for topic in self.topics])
        return []


def main():
    program, bootstrap, folder = sys.argv[1:4]
    first, histories, side_by_side, rounds = map(int, sys.argv[4:])
    failed = False
    for seed in range(first, first + histories, side_by_side):
        count = min(side_by_side, first + histories - seed)
        refuses = seed // side_by_side % 2 == 1
        group = Group(program, bootstrap, pathlib.Path(folder) / str(seed), seed, count, refuses)
        began = time.monotonic()
        try:
            faults = group.run(rounds)
        except RuntimeError as error:
            faults = [f"seed {seed}: {error}"]
        finally:
            if group.instance and not group.instance.has_ended():
                group.instance.end("KILL")
        for fault in faults[:20]:
            print(fault)
        failed = failed or bool(faults)
        print(f"{count} histories from seed {seed}: {len(faults)} faults, {time.monotonic() - began:.0f} s", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
