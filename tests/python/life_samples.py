"""Samples a retention life until a file says stop: one JSON line for each sample.

A sample has the fields stored by category, cells, segments, the overdue fields by an independent count, and those that the instances report at their ports.
A sample that comes long after its time says so: the machine stood still, and the grace of what became due meanwhile begins again.
"""

import argparse
import collections
import json
import os
import re
import sys
import time
import urllib.request

from life_tables import DAY, GRACE, Events, Reckoning, Tables

STALL = 4.0  # seconds of the machine's


def scrape(ports, name):
    """The largest of the instances' sums of a metric; None if no instance answers."""
    sums = []
    for port in ports:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            continue
        sums.append(sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.M)))
    return max(sums, default=None)


def look(tables, events, now, quiet_until):
    """One sample."""
    reckoning = Reckoning(events)
    said = {"stored": collections.Counter(), "overdue": {}, "settling": {}, "held": 0, "segments": 0, "most": 0, "rows": 0, "cells": 0, "in_cells": 0, "bytes": 0}
    for product in tables.products():
        files = tables.read(product, reckoning.oracle.policy)
        found = reckoning.table(product, files, now)
        said["stored"] += found["stored"]
        late = "settling" if events.settling(now, product) or now < quiet_until else "overdue"
        if found["overdue"]:
            said[late][product] = dict(found["overdue"])
        for name in ("held", "segments"):
            said[name] += found[name]
        said["most"] = max(said["most"], found["most"])
        for name in ("rows", "cells", "in_cells", "bytes"):
            said[name] += sum(getattr(file, name) for file in files.values())
    return said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--events", required=True)
    parser.add_argument("--ports", required=True, help="a file of the instances' ports, as a JSON list")
    parser.add_argument("--anchor", type=float, required=True)
    parser.add_argument("--speed", type=int, required=True)
    parser.add_argument("--every", type=float, required=True, help="days between looks")
    parser.add_argument("--stop", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    tables, looks, quiet_until, last = Tables(args.root), 0, 0, time.time()
    pause = args.every * 86400 / args.speed
    began = time.time()
    with open(args.out, "w", encoding="utf-8") as out:
        while not os.path.exists(args.stop):
            # The next time that is not past: a sample may take longer than the pause.
            looks = max(looks + 1, int((time.time() - began) / pause) + 1)
            time.sleep(max(0.0, began + pause * looks - time.time()))
            stalled, last = time.time() - last > 2 * pause + STALL, time.time()
            now = int((args.anchor + (time.time() - args.anchor) * args.speed) * 1e6)
            quiet_until = now + GRACE + DAY if stalled else quiet_until
            begun = time.time()
            said = {"day": round((now / 1e6 - args.anchor) / 86400, 2), "at": now, "stalled": stalled}
            said |= look(tables, Events(args.events), now, quiet_until)
            with open(args.ports, encoding="utf-8") as file:
                ports = json.load(file)
            for name in ("overdue_fields", "stale_tag_records", "clock_trusted", "held_fields"):
                said[name] = scrape(ports, f"ebbtide_{name}")
            out.write(json.dumps(said | {"took": round(time.time() - begun, 2)}) + "\n")
            out.flush()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
