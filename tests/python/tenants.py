"""Prints the number of stored records with a time of each tenant, for a table with `customer_id` and `sent_at`: a JSON object."""

import argparse
import collections
import json

import deltalake

from tables import leave


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", required=True)
    args = parser.parse_args()
    rows = deltalake.DeltaTable(args.table).to_pyarrow_table(columns=["customer_id", "sent_at"]).to_pylist()
    print(json.dumps(collections.Counter(row["customer_id"] for row in rows if row["sent_at"] is not None and row["customer_id"])))


if __name__ == "__main__":
    main()
    leave()
