"""Random histories of one table: after each step a simple model says what the table must hold, and foreign readers read what it holds.

Speaks JSON lines: a step goes to stdout, its outcome comes from stdin. The same seed gives the same history, and each fault is printed with its seed.

    history.py FOLDER FIRST COUNT
"""

import collections
import json
import os
import random as randoms
import shutil
import sys

import changes
import model
import oracle
import policies
import tables

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
START = 1_793_534_400_000_000  # 2026-11-01T12:00:00Z
# The number of failed histories after which it ends.
FAILURES = 4
# The number of histories between two lines of progress.
TELLS = 250
PEOPLE = ["31612345601", "+31 6 12345602", "31612345603", "919812345604", "919812345605", "31612345606", None]


def ask(what, **more):
    """Sends a step and returns its outcome."""
    print(json.dumps({"do": what, **more}), flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError("the other side is closed")
    return json.loads(line)


class History:
    """One table through its steps."""

    def __init__(self, seed, folder):
        self.random = randoms.Random(seed)
        self.folder = folder
        self.now, self.steps = START + self.random.randrange(60) * DAY // 2, []
        # How far the clock of each instance is ahead. No deadline is ever between the times of two clocks.
        self.ahead = self.random.choice([[0], [2 * MINUTE, -2 * MINUTE], [-2 * MINUTE, MINUTE]])
        self.now += 7 * MINUTE if len(self.ahead) > 1 else 0
        self.offsets = [0] * len(self.ahead)
        for _ in range(50):
            self.versions = [changes.State.first(self.random)]
            first = self.versions[0].policy
            self.triggers = any(rule["trigger"] != "event" for rule in first["rules"])
            self.changes = self.random.choice([0, 1, 2, 4])
            if len(self.ahead) > 1 and (self.triggers or self.changes):
                # If two instances update the tags of one bucket, each may count the people of its part first.
                first["products"]["sms"]["end"] = "remove"
            path = self.write(self.versions[0])
            opened = ask("open", folder=folder, policy=path, now=self.now, ahead=self.ahead)
            if not opened["refused"]:
                break
        else:
            raise AssertionError(f"every policy is refused: {opened['refused']}")
        self.model = model.Model(path)
        # The policy that each instance was started with.
        self.running = [self.versions[0]] * len(self.ahead)

    def write(self, state):
        at = os.path.join(self.folder, f"policy-{len(os.listdir(self.folder))}")
        os.makedirs(at)
        return policies.write(state.policy, state.schema, at)

    def someone(self):
        """One of the instances."""
        return self.random.randrange(len(self.ahead))

    def wait(self, micros):
        if len(self.ahead) > 1:
            # Seven to eight minutes after a quarter of an hour, at which alone deadlines are.
            quarter = 15 * MINUTE
            micros += quarter - (self.now + micros) % quarter + 7 * MINUTE + self.random.randrange(MINUTE)
        ask("pass", micros=micros)
        self.now += micros

    # What happens.

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
            "note": pick([None, "of note"]),
        }

    def ingest(self):
        by, records = self.someone(), []
        now = self.now + self.ahead[by]
        for _ in range(self.random.randint(1, 3)):
            late = self.random.choice([0, 0, 0, 2 * HOUR, 30 * HOUR, 9 * DAY, 70 * DAY])
            ahead = self.random.choice([0, 0, 0, 50 * MINUTE])
            at = now - (self.random.randrange(late) if late else 0) + ahead - MINUTE
            records += [self.record(at) for _ in range(self.random.randint(1, 12))]
        tell = lambda state: ask("ingest", by=by, records=[state.record(record) for record in records], offset=self.offsets[by])
        told = tell(self.running[by])
        assert told.get("refused", False) == (self.running[by] is not self.versions[-1]), told
        if told.get("refused"):
            # It had an earlier policy, and was started with the active one.
            told = tell(self.versions[-1])
        self.running[by] = self.versions[-1]
        expired = self.model.expired
        self.model.ingest([self.versions[-1].record(record) for record in records], self.offsets[by], now, by)
        self.offsets[by] += len(records)
        assert told.get("expired") == self.model.expired - expired, f"{told} instead of {self.model.expired - expired} expired"
        return f"{len(records)} records by {by}"

    def sweep(self):
        if self.random.random() < 0.3:
            self.drop(self.random.random() < 0.3)
        turns = [(self.someone(), self.random.randint(1, 4)) for _ in range(self.random.choice([0, 2, 5]))]
        ask("sweep", turns=turns)
        # None of an earlier policy could: it was started with the active one.
        self.running = [self.versions[-1]] * len(self.ahead)
        self.model.sweep(self.now)
        return ""

    def drop(self, whole):
        """An instance or its sweeper ends; the new one has the active policy."""
        by = self.someone()
        ask("drop", by=by, whole=whole)
        if whole:
            self.running[by] = self.versions[-1]

    def compact(self):
        """Segments are merged: no reader sees a difference."""
        by = self.someone()
        return f"{ask('compact', by=by)['merges']} merges by {by}"

    def hold(self):
        hold = {"until": self.now + self.random.choice([3 * HOUR, 5 * DAY, 100 * DAY]) + (5 * MINUTE if len(self.ahead) > 1 else 0)}
        what = self.random.randrange(6)
        if what in (0, 3, 5):
            hold["subject"] = self.person()
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

    def person(self):
        return oracle.canonical_phone(self.random.choice([person for person in PEOPLE if person]))

    def contract_end(self):
        tenant, reason = self.random.choice(["acme", "globex"]), self.random.choice([None, None, "renewed", "a mistake"])
        at = self.now + self.random.choice([-70 * DAY, -9 * DAY, -DAY, -HOUR, 0, 2 * DAY, 20 * DAY])
        if self.model.told and self.random.random() < 0.15:
            tenant, at, reason = self.random.choice(sorted(self.model.told, key=str))
        told = ask("contract_end", tenant=tenant, at=at, reason=reason)
        expected = self.model.contract_end(tenant, at, reason)
        assert told["noted"] == expected, f"{tenant} at {oracle.instant(at)}: {told['noted']} instead of {expected}"
        return f"of {tenant} at {oracle.instant(at)} {reason}: {expected}"

    def withdraw(self):
        subject, tenant = self.person(), self.random.choice([None, None, "acme", "globex"])
        at = self.now + self.random.choice([-9 * DAY, -2 * DAY, -DAY, -3 * HOUR, 0, 0, 30 * MINUTE, 2 * HOUR])
        if self.model.withdrawals and self.random.random() < 0.15:
            subject, tenant, at = self.random.choice(self.model.withdrawals).values()
        told = ask("withdraw", subject=subject, tenant=tenant, at=at)["noted"]
        refused = at > self.now + HOUR or not self.model.has_consent()
        # A notice for a time before the longest window and three days concerns no stored record.
        if not (told == "refused" and at < self.now - 3 * DAY):
            expected = "refused" if refused else self.model.withdraw(subject, tenant, at)
            assert told == expected, f"{told} instead of {expected}"
        return f"by {subject} from {tenant} at {oracle.instant(at)}: {told}"

    def activate(self):
        """Another policy, if it may be activated. Instances use the old one until they are restarted."""
        for _ in range(10):
            state = changes.draw(self.random, self.versions, f"version-{len(os.listdir(self.folder))}")
            if len(self.ahead) > 1:
                state.policy["products"]["sms"]["end"] = "remove"
            path = self.write(state)
            if not ask("activate", policy=path)["refused"]:
                self.versions.append(state)
                self.model.activate(path)
                if self.random.random() < 0.5:
                    self.drop(True)
                swept = "swept" if self.random.random() < 0.5 and not self.sweep() else "not swept"
                return f"{state.policy['version']}: {', '.join(state.said)}; {swept}"
        return "nothing that may be activated"

    def jump(self):
        micros = self.random.choice([HOUR, 7 * HOUR, 40 * HOUR, 4 * DAY, 12 * DAY, 33 * DAY, 100 * DAY])
        micros = self.random.randrange(micros)
        self.wait(micros)
        return f"{micros / HOUR:.1f} hours, {'swept' if self.random.random() < 0.7 and not self.sweep() else 'not swept'}"

    def wrong_clock(self):
        """A clock jumps: it must cause no commit, and after some even minutes it is trusted again."""
        micros = self.random.choice([-1, 1]) * self.random.choice([7 * MINUTE, 2 * HOUR, 9 * DAY, 300 * DAY])
        told = ask("wall", by=self.someone(), micros=micros)
        assert told["commits"] == 0, f"{told['commits']} commits by a clock that had jumped"
        self.wait(20 * MINUTE)
        return f"by {micros / HOUR:.1f} hours"

    # The run.

    def go(self):
        count = self.random.randint(6, 12)
        acts = [self.ingest] * 3 + [self.jump] * 4 + [self.hold, self.release, self.sweep, self.compact, self.wrong_clock]
        acts += [self.contract_end, self.withdraw] * (2 if self.triggers else 0) + [self.withdraw] * (2 if self.model.has_consent() else 0)
        acts += [self.activate] * self.changes
        self.step("ingest", self.ingest)
        for number in range(count):
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
        """Each record by where it came from, and cells by how they look."""
        found = tables.rows(reader, os.path.join(self.folder, "root/tables/sms"))
        bare = lambda columns: {name: value for name, value in columns.items() if value is not None and name != "profile"}
        name_of = lambda columns: (columns["source_partition"], columns["source_offset"])
        rows = {name_of(columns): columns for columns in found if columns.get("source_offset") is not None}
        wanted = {name_of(row.columns): row for row in self.model.rows}
        cells = [json.dumps(bare(columns), sort_keys=True) for columns in found if columns.get("source_offset") is None]
        assert len(rows) + len(cells) == len(found), f"{reader}: a record is there twice"
        wrong = [f"lacks {row.view()}" for name, row in wanted.items() if name not in rows]
        wrong += [f"still has {bare(columns)}" for name, columns in rows.items() if name not in wanted]
        profiles = {}
        for name, row in wanted.items():
            columns, view = bare(rows.get(name, {})), bare(row.view())
            if row.waits:
                # A held record has its data; its tags are the old ones or newer ones.
                columns, view = ({key: value for key, value in of.items() if not key.startswith("expires_")} for of in (columns, view))
            if columns and columns != view:
                differ = {key: (columns.get(key), view.get(key)) for key in {*columns, *view} if columns.get(key) != view.get(key)}
                wrong.append(f"has of {name} in {row.group()} instead of what it should {differ}")
            elif columns and not row.waits:
                # Records have one bucket and profile exactly if their deadlines are equal.
                profile = profiles.setdefault(row.group(), rows[name]["profile"])
                wrong += [f"has {row.group()} in two profiles"] if profile != rows[name]["profile"] else []
        there, due = collections.Counter(cells), collections.Counter(json.dumps(bare(cell), sort_keys=True) for _, cell in self.model.cells)
        wrong += [f"lacks cells {due - there}, and has {there - due}"] if there != due else []
        if wrong:
            raise AssertionError(f"{reader}: of {len(wanted)} records and {len(cells)} cells the table " + "\n  ".join(wrong[:6]))


def main():
    folder, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    failed = []
    for seed in range(first, first + count):
        at = os.path.join(folder, str(seed))
        os.makedirs(at)
        history = None
        try:
            history = History(seed, at)
            history.go()
        except Exception as error:
            steps = "\n  ".join(history.steps) if history else ""
            policy = "\n".join(json.dumps(state.policy) for state in history.versions) if history else ""
            print(f"seed {seed}: {error!r}\n  {steps}\n{policy}", file=sys.stderr)
            failed.append(seed)
            if isinstance(error, EOFError) or len(failed) == FAILURES:
                break
        shutil.rmtree(at)
        if (done := seed + 1 - first) % TELLS == 0:
            print(f"{done} of {count} histories from seed {first} on: {len(failed)} went wrong", file=sys.stderr)
    if failed:
        tables.leave(f"histories went wrong: {failed}")
    ask("end", histories=count)
    tables.leave()


main()
