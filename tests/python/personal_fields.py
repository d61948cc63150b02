"""Prints every personal field of a policy as JSON: product, column, category."""

import argparse
import json

from policy import Policy

parser = argparse.ArgumentParser()
parser.add_argument("--policy", required=True)
products = Policy(parser.parse_args().policy).products()
fields = [[key, column, category] for key, product in products.items() for column, category in product["fields"].items()]
print(json.dumps([field for field in fields if field[2] != "none"]))
