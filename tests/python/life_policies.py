"""Makes the policies of a whole retention life from its first: the second keeps calls and SMS less long and drops a field, the third keeps some data longer.

life_policies.py FIRST SECOND THIRD
"""

import sys

import yaml

from derive_policy import Plain


def write(data, path):
    with open(path, "w", encoding="utf-8") as file:
        dumper = Plain(file)
        dumper.open()
        dumper.represent(data)
        dumper.close()


def main():
    first, second, third = sys.argv[1:]
    with open(first, encoding="utf-8") as file:
        data = yaml.load(file, Loader=yaml.BaseLoader)
    rules = {rule["id"]: rule for rule in data["rules"]}
    version = data["version"]
    data["version"] = f"{version}-second"
    rules["telecom"]["keep"] = "2 months"
    rules["telecom-content"]["keep"] = "3 weeks"
    del data["products"]["sms"]["fields"]["encoding"]
    write(data, second)
    data["version"] = f"{version}-third"
    rules["service-content"]["keep"] = "2 months"
    rules["account"]["keep"] = "6 months"
    rules["marketing"]["keep"] = "3 months"
    data["products"]["voice"]["fields"]["duration_seconds"] = "location_data"
    write(data, third)


if __name__ == "__main__":
    main()
