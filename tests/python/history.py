"""Random histories of one table: an obvious model says what the table must hold after each step, foreign readers what it holds.

Speaks JSON lines: what is to be done goes to stdout, what came of it comes from stdin. Promises the same history for the
same seed, and the seed with whatever goes wrong.

    history.py FOLDER FIRST COUNT
"""

import collections
import json
import os
import random as randoms
import shutil
import sys

import model
import oracle
import policies
import tables

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
START = 1_793_534_400_000_000  # 2026-11-01T12:00:00Z
PEOPLE = ["31612345601", "+31 6 12345602", "31612345603", "919812345604", "919812345605", "31612345606", None]


def ask(what, **more):
    """Has something done; what came of it."""
    print(json.dumps({"do": what, **more}), flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError("nobody is there any more")
    return json.loads(line)


class History:
    """One table through its steps."""

    def __init__(self, seed, folder):
        self.random = randoms.Random(seed)
        self.folder = folder
        self.now, self.offset, self.steps = START + self.random.randrange(60) * DAY // 2, 0, []
        for _ in range(50):
            self.policy = policies.draw(self.random)
            path = policies.write(self.policy, folder)
            opened = ask("open", folder=folder, policy=path, now=self.now)
            if not opened["refused"]:
                break
        else:
            raise AssertionError(f"every policy is refused: {opened['refused']}")
        self.model = model.Model(path)

    def record(self, sent_at):
        pick = self.random.choice
        return {
            "recipient": pick(PEOPLE),
            "sender": pick(PEOPLE),
            "body": pick([None, "", "see you", "later"]),
            "media": pick([None, [], ["a"], ["b", "c"]]),
            "sent_at": sent_at + self.random.randrange(MINUTE),
            "customer": pick(["acme", "globex", None, "acme"]),
            "status": pick(["delivered", "failed", None, "delivered"]),
            "segments": pick([None, 0, 1, 1, 2, 3, -1, 40]),
        }

    def ingest(self):
        records = []
        for _ in range(self.random.randint(1, 3)):
            late = self.random.choice([0, 0, 0, 2 * HOUR, 30 * HOUR, 9 * DAY, 70 * DAY])
            ahead = self.random.choice([0, 0, 0, 50 * MINUTE])
            at = self.now - (self.random.randrange(late) if late else 0) + ahead - MINUTE
            records += [self.record(at) for _ in range(self.random.randint(1, 12))]
        told = ask("ingest", records=records, offset=self.offset)
        expired = self.model.expired
        self.model.ingest(records, self.offset, self.now)
        self.offset += len(records)
        assert told["expired"] == self.model.expired - expired, f"{told['expired']} records were past all deadlines"
        return f"{len(records)} records"

    def sweep(self):
        ask("sweep", anew=self.random.random() < 0.3)
        self.model.sweep(self.now)
        return ""

    def compact(self):
        """Segments become one: nothing that anybody reads changes."""
        return f"{ask('compact')['merges']} merges"

    def hold(self):
        hold = {"until": self.now + self.random.choice([3 * HOUR, 5 * DAY, 100 * DAY])}
        what = self.random.randrange(6)
        if what in (0, 3, 5):
            hold["subject"] = oracle.canonical_phone(self.random.choice([person for person in PEOPLE if person]))
        if what in (1, 3):
            hold["tenant"] = self.random.choice(["acme", "globex"])
        if what in (2, 4, 5):
            hold["from"] = self.now - self.random.randrange(40 * DAY)
            hold["to"] = hold["from"] + self.random.randrange(1, 10 * DAY)
        told = ask("hold", **hold)
        self.model.holds[told["id"]] = hold
        return str(hold)

    def release(self):
        live = [name for name, hold in self.model.holds.items() if self.now < hold["until"]]
        if not live:
            return self.sweep()
        name = self.random.choice(live)
        ask("release", id=name)
        del self.model.holds[name]
        return name

    def jump(self):
        micros = self.random.choice([HOUR, 7 * HOUR, 40 * HOUR, 4 * DAY, 12 * DAY, 33 * DAY, 100 * DAY])
        micros = self.random.randrange(micros)
        ask("pass", micros=micros)
        self.now += micros
        return f"{micros / HOUR:.1f} hours, {'swept' if self.random.random() < 0.7 and not self.sweep() else 'not swept'}"

    def wrong_clock(self):
        """A clock that jumps: nothing may come of it, and after some even minutes it is gone by again."""
        micros = self.random.choice([-1, 1]) * self.random.choice([7 * MINUTE, 2 * HOUR, 9 * DAY, 300 * DAY])
        told = ask("wall", micros=micros)
        assert told["commits"] == 0, f"{told['commits']} commits by a clock that had jumped"
        ask("pass", micros=20 * MINUTE)
        self.now += 20 * MINUTE
        return f"by {micros / HOUR:.1f} hours"

    def go(self):
        count = self.random.randint(6, 12)
        self.step("ingest", self.ingest)
        for number in range(count):
            acts = [self.ingest, self.ingest, self.jump, self.jump, self.jump, self.hold, self.release, self.sweep, self.compact, self.wrong_clock]
            act = self.random.choice(acts)
            self.step(act.__name__, act, last=number == count - 1)
        told = ask("audit")
        assert told["broken"] == [], told

    def step(self, name, act, last=False):
        self.steps.append(name)
        self.steps[-1] = f"{name} {act()} at {oracle.instant(self.now)}"
        for reader in ["deltalake", "duckdb", "polars"] if last else ["deltalake"]:
            self.compare(reader)

    def compare(self, reader):
        found = tables.rows(reader, os.path.join(self.folder, "root/tables/sms"))
        profiles = {}
        expected = [(row.group, row.columns) for row in self.model.rows] + self.model.cells
        bare = lambda columns: {name: value for name, value in columns.items() if value is not None and name != "profile"}
        key = lambda columns: json.dumps(bare(columns), sort_keys=True)
        found = sorted((key(columns), columns["profile"]) for columns in found)
        wanted = sorted(((key(columns), group) for group, columns in expected), key=lambda pair: pair[0])
        there, due = ([columns for columns, _ in pairs] for pairs in (found, wanted))
        if there != due:
            lacks, more = (list((collections.Counter(a) - collections.Counter(b)).items())[:5] for a, b in [(due, there), (there, due)])
            raise AssertionError(f"{reader}: of {len(due)} rows the table lacks {lacks}, and it has {more}")
        # Records lie together by bucket and profile exactly where their deadlines are one. Cells that look alike tell nothing.
        for (columns, profile), (_, group) in zip(found, wanted):
            if "source_offset" in columns:
                assert profiles.setdefault(group, profile) == profile, f"{group} lies in two profiles"


def main():
    folder, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for seed in range(first, first + count):
        at = os.path.join(folder, str(seed))
        os.makedirs(at)
        history = None
        try:
            history = History(seed, at)
            history.go()
        except Exception as error:
            steps = "\n  ".join(history.steps) if history else ""
            policy = json.dumps(history.policy) if history else ""
            print(f"seed {seed}: {error!r}\n  {steps}\n{policy}", file=sys.stderr)
            tables.leave("a history went wrong")
        shutil.rmtree(at)
    ask("end", histories=count)
    tables.leave()


main()
