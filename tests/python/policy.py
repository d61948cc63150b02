"""The policy file as plain data, read by another YAML library than Ebbtide's.

It is not checked: the files of the tests are known to be right.
"""

import os

import yaml


class Policy:
    """A policy: its text as data, and the folder of its schemas."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.data = yaml.load(file, Loader=yaml.BaseLoader)
        self.folder = os.path.dirname(os.path.abspath(path))

    def products(self):
        """The products that have records."""
        return {key: p for key, p in self.data["products"].items() if p.get("records") != "none"}

    def schema_path(self, product):
        """Returns the path of a product's schema."""
        return os.path.join(self.folder, self.products()[product]["schema"])
