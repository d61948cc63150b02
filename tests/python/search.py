"""A second search for values under a folder: every file's name and raw bytes, and every column of every Parquet file by pyarrow.

Prints as JSON the lines of --values that it found (`found`) and the files that it could not read (`unread`). Shares nothing with Ebbtide. It searches for
a value as it is given, in lower case, as JSON writes it, as Python writes an instant, and for a number by its digits alone.
"""

import argparse
import datetime
import json
import os
import re

import pyarrow
import pyarrow.parquet

LEAST = 8


def forms(value):
    """The texts of a value."""
    yield from {value, value.lower(), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    digits = re.sub(r"\D", "", value)
    if len(digits) >= LEAST and re.fullmatch(r"\+?[- ()/0-9]+", value):
        yield digits[2:] if digits.startswith("00") else digits
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value.lower()):
        yield value.lower().replace("-", "")
    if re.match(r"\d{4}-\d\d-\d\dT", value):
        yield str(datetime.datetime.fromisoformat(value))


def texts(value):
    """Every text in a value of a column, however nested."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
        yield value.hex()
    elif value is not None:
        yield str(value)


class Search:
    """Finds all values in one pass: looks up the last eight bytes of each at every place of the data, then compares the bytes before them."""

    def __init__(self, lines):
        self.lines, self.ends, self.found = {}, {}, set()
        for number, line in enumerate(lines, 1):
            for form in forms(line) if line else ():
                form = form.encode()
                assert len(form) >= LEAST, f"line {number} is too short for this search"
                self.lines.setdefault(form, set()).add(number)
        for form in self.lines:
            self.ends.setdefault(form[-LEAST:], []).append(form)

    def bytes(self, data):
        ends = self.ends
        for at in range(LEAST, len(data) + 1):
            if (end := data[at - LEAST : at]) in ends:
                for form in ends[end]:
                    if data.endswith(form, 0, at):
                        self.found |= self.lines[form]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--values", required=True)
    args = parser.parse_args()
    with open(args.values, encoding="utf-8") as file:
        search = Search(file.read().split("\n"))
    unread = []
    for at, folders, names in os.walk(args.root):
        for name in folders + names:
            search.bytes(os.fsencode(name))
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                data = file.read()
            search.bytes(data)
            if not data.startswith(b"PAR1"):
                continue
            try:
                for batch in pyarrow.parquet.ParquetFile(path).iter_batches(1024):
                    for column in batch.columns:
                        told = {text for value in column.to_pylist() for text in texts(value)}
                        search.bytes("\n".join(told).encode("utf-8", "surrogateescape"))
            except (pyarrow.ArrowException, OSError) as error:
                unread.append([path, type(error).__name__])
    print(json.dumps({"found": sorted(search.found), "unread": unread}))


if __name__ == "__main__":
    main()
