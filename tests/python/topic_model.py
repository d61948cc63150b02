"""The model of one topic in a random history: which records a table must hold, may hold, and must never hold.

Pure: it uses neither Kafka nor the program. Offsets are those that the broker reported for each record.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sent:
    """One record that the broker acknowledged. `id` is None for a record that cannot be decoded."""

    partition: int
    offset: int
    id: str | None
    aborted: bool = False


@dataclass
class Topic:
    """One topic and what its table must hold of it."""

    name: str
    product: str
    partitions: int
    compacted: bool
    # Records that were readable when the instance read past them.
    stored: set = field(default_factory=set)
    # Of a compacted topic: records that may have been compacted away before they were read.
    may_be_stored: set = field(default_factory=set)
    aborted: set = field(default_factory=set)
    # Source offsets of records that cannot be decoded: (generation, partition, offset).
    dead: set = field(default_factory=set)
    # Records since the instance last caught up.
    pending: list = field(default_factory=list)
    # Offsets that were deleted before they were read, accepted by a decision.
    lost: int = 0
    generation: int = 0
    # Partitions that the instance must refuse until a decision: partition -> reason.
    refused: dict = field(default_factory=dict)
    # The events, for the message of a fault.
    events: list = field(default_factory=list)

    def add(self, records):
        self.pending += records
        self.events += [(r.partition, r.offset, r.id, r.aborted) for r in records]

    def last_readable(self):
        """For each partition with pending records the offset of the last one that a reader is given."""
        last = {}
        for record in self.pending:
            if not record.aborted and record.partition not in self.refused:
                last[record.partition] = max(last.get(record.partition, -1), record.offset)
        return last

    def delete_before(self, partition, offset):
        """The broker deletes what is before `offset`: pending records there are lost."""
        self.events.append(f"delete before {partition}/{offset}")
        gone = [r for r in self.pending if r.partition == partition and r.offset < offset]
        self.pending = [r for r in self.pending if r not in gone]
        if any(not r.aborted for r in gone):
            self.refused[partition] = "lost"
            self.lost += 1

    def recreate(self):
        """The topic was deleted and created again: each of its partitions that was read is refused."""
        assert not self.pending, "a topic is recreated when all of it was read"
        self.generation += 1
        self.events.append("created again")
        self.refused = dict.fromkeys(range(self.partitions), "recreated")

    def keep(self, readable):
        """Keeps the pending records that Kafka has. Records that the broker acknowledged for a topic in deletion are lost."""
        lost = [record for record in self.pending if record.id not in readable]
        if lost:
            self.events.append(f"acknowledged into the deleted topic: {lost}")
        self.pending = [record for record in self.pending if record not in lost]

    def accept(self):
        """A person accepted the loss: refused partitions are read again."""
        self.events.append("losses accepted")
        self.refused.clear()

    def caught_up(self):
        """The instance has read all that it may: pending records have their outcome."""
        left = []
        for record in self.pending:
            if record.partition in self.refused:
                left.append(record)
            elif record.aborted:
                self.aborted.add(record.id)
            elif record.id is None:
                self.dead.add((self.generation, record.partition, record.offset))
            elif self.compacted:
                self.may_be_stored.add(record.id)
            else:
                self.stored.add(record.id)
        self.pending = left

    def faults(self, rows, readable):
        """What is wrong with the table's `rows` (ids), where `readable` are the ids that Kafka still gives now."""
        found = []
        seen = set()
        for row in rows:
            if row in seen:
                found.append(f"{self.product}: {row} is stored twice")
            seen.add(row)
        must = self.stored | (readable & self.may_be_stored)
        may = self.stored | self.may_be_stored
        found += [f"{self.product}: {id} is missing" for id in sorted(must - seen)]
        found += [f"{self.product}: {id} was aborted and is stored" for id in sorted(seen & self.aborted)]
        found += [f"{self.product}: {id} was never acknowledged and is stored" for id in sorted(seen - may - self.aborted)]
        if found:
            found.append(f"{self.product}: what happened last: {self.events[-40:]}")
        return found
