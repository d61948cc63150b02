"""Makes a policy for one test from the shipped one: some of its products, topics with a prefix, schemas by absolute path.

The fields are those of the shipped policy, and so are the rules unless a test brings its own: the tests check the policy that users start from.
"""

import argparse
import os

import yaml


class Plain(yaml.emitter.Emitter, yaml.serializer.Serializer, yaml.representer.SafeRepresenter, yaml.resolver.BaseResolver):
    """Writes every scalar as it was read: numbers and dates stay unquoted."""

    def __init__(self, stream, **options):
        yaml.emitter.Emitter.__init__(self, stream, width=10_000, allow_unicode=True)
        yaml.serializer.Serializer.__init__(self)
        yaml.representer.SafeRepresenter.__init__(self, sort_keys=False)
        yaml.resolver.BaseResolver.__init__(self)

    def ignore_aliases(self, data):
        return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--policy", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--products", help="by commas; all without it")
    parser.add_argument("--rules", help="a file whose `bucket`, `rules` and `ends` of products replace those of the policy")
    args = parser.parse_args()

    with open(args.policy, encoding="utf-8") as file:
        data = yaml.load(file, Loader=yaml.BaseLoader)
    products = args.products.split(",") if args.products else list(data["products"])
    data["products"] = {key: data["products"][key] for key in products}
    if args.rules:
        with open(args.rules, encoding="utf-8") as file:
            short = yaml.load(file, Loader=yaml.BaseLoader)
        data |= {"bucket": short["bucket"], "rules": short["rules"]}
        for key, end in short["ends"].items():
            if key in data["products"]:
                data["products"][key]["end"] = end
    folder = os.path.dirname(os.path.abspath(args.policy))
    topics = []
    for product in data["products"].values():
        if "topics" in product:
            product["topics"] = [f"{args.prefix}.{topic}" for topic in product["topics"]]
            product["schema"] = os.path.normpath(os.path.join(folder, product["schema"]))
            topics += product["topics"]
    for rule in data["rules"]:
        if rule.get("products"):
            rule["products"] = [key for key in rule["products"] if key in products]
    data["rules"] = [rule for rule in data["rules"] if rule.get("products") != []]
    with open(args.out, "w", encoding="utf-8") as file:
        dumper = Plain(file)
        dumper.open()
        dumper.represent(data)
        dumper.close()
    print("\n".join(topics))


if __name__ == "__main__":
    main()
