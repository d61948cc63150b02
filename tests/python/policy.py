"""The policy file as plain data, read by another YAML library than Ebbtide's.

Promises no check of it: what the tests give is known to be right.
"""

import os

import yaml


class Policy:
    """A policy: its text as data, and where its schemas lie."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.data = yaml.load(file, Loader=yaml.BaseLoader)
        self.folder = os.path.dirname(os.path.abspath(path))

    def products(self):
        """The products that have records."""
        return {key: p for key, p in self.data["products"].items() if p.get("records") != "none"}

    def schema_path(self, product):
        """Where a product's schema lies."""
        return os.path.join(self.folder, self.products()[product]["schema"])
