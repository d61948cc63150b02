"""Checks that the packages of requirements.txt load here, native parts included: a broken wheel fails at set-up, not in a test."""

import os

import confluent_kafka
import deltalake
import duckdb
import duckdb_extension_delta
import fastavro
import phonenumbers
import polars
import pyarrow
import pyspark
import yaml

EXTENSION = [
    os.path.join(folder, name)
    for folder, _, names in os.walk(os.path.dirname(duckdb_extension_delta.__file__))
    for name in names
    if name == "delta.duckdb_extension"
]

connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
connection.execute(f"LOAD '{EXTENSION[0]}'")
assert polars.DataFrame({"a": [1]}).to_arrow().num_rows == 1
assert phonenumbers.is_valid_number(phonenumbers.parse("+31201234567"))
for module in (confluent_kafka, deltalake, fastavro, pyarrow, pyspark, yaml):
    assert module.__name__
