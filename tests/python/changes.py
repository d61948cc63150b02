"""Random changes of a policy: a sequence of versions, each a few changes away from the one before or back to an earlier one.

Makes changes of each kind that `policy plan` knows, mostly ones that may be activated.
"""

import copy
import json

import policies

# The names of added fields, and the names of fields after a rename.
NOTE, SUFFIX = "note", "_now"


class State:
    """A policy, the schema of its records, and its name for each field of the records."""

    def __init__(self, policy, schema, names):
        self.policy, self.schema, self.names = policy, schema, names
        self.said = []

    @staticmethod
    def first(random):
        schema = copy.deepcopy(policies.SCHEMA)
        return State(policies.draw(random), schema, {field["name"]: field["name"] for field in schema["fields"]})

    def product(self):
        return self.policy["products"]["sms"]

    def record(self, values):
        """Returns a record with the names of this version, from one with the names of the first."""
        return {name: values.get(base) for base, name in self.names.items()}


def draw(random, past, version):
    """Returns the next version after those, newest last."""
    new = copy.deepcopy(past[-1])
    new.said = []
    if len(past) > 1 and random.random() < 0.15:
        new = copy.deepcopy(random.choice(past[:-1]))
        new.said = [f"back to {new.policy['version']}"]
    else:
        for change in random.choices(CHANGES, k=random.choice([1, 1, 2, 3])):
            new.said.append(f"{change.__name__} {change(random, new) or ''}".strip())
    new.policy["version"] = version
    return new


def shorten(random, state):
    rule = random.choice(state.policy["rules"])
    rule["keep"] = policies.KEEPS[random.randint(0, policies.KEEPS.index(rule["keep"]))]
    return f"{rule['id']} to {rule['keep']}"


def lengthen(random, state):
    rule = random.choice(state.policy["rules"])
    rule["keep"] = policies.KEEPS[random.randint(policies.KEEPS.index(rule["keep"]), len(policies.KEEPS) - 1)]
    if random.random() < 0.1:
        rule["bases"] = []
    return f"{rule['id']} to {rule['keep']}"


def add_rule(random, state):
    like = random.choice(state.policy["rules"])
    number = sum(rule["id"].startswith("more") for rule in state.policy["rules"])
    country = random.choice(["IN", "NL", "FR"])
    rule = {key: value for key, value in like.items() if key != "tenants"}
    rule |= {"id": f"more-{number}", "keep": random.choice(policies.KEEPS), "jurisdictions": [country]}
    state.policy["rules"].append(rule)
    return f"for {country} like {like['id']} with {rule['keep']}"


def drop_rule(random, state):
    rules = state.policy["rules"]
    if len(rules) > 1:
        return rules.pop(random.randrange(1, len(rules)))["id"]


def retrigger(random, state):
    rule = random.choice(state.policy["rules"])
    rule["trigger"] = random.choice(["event", "contract_end", "consent_withdrawn"])
    if rule["trigger"] == "consent_withdrawn":
        rule["boundary"] = "at_most"
    return f"{rule['id']} by {rule['trigger']}"


def rebound(random, state):
    rule = random.choice(state.policy["rules"])
    rule["boundary"] = random.choice(["at_most", "at_least"])
    return f"{rule['id']} {rule['boundary']}"


def reclassify(random, state):
    """A field comes to another category, which the policy may not have had."""
    fields, categories = state.product()["fields"], state.policy["categories"]
    movable = [base for base in ["sender", "body", "media", "sent_at", "status", NOTE] if state.names.get(base) in fields]
    name = state.names[random.choice(movable)]
    category = random.choice(list(policies.TERMS))
    categories[category] = {"term": policies.TERMS[category]}
    fields[name] = category
    return f"{name} to {category}"


def leave_out(random, state):
    """A field is not stored any more; the schema keeps it."""
    product = state.product()
    base = random.choice(["sender", "body", "media", "status", "segments", NOTE])
    name = state.names.get(base)
    product["fields"].pop(name, None)
    product["subjects"].pop(name, None)
    if product["end"] != "remove":
        how = product["end"]["anonymize"]
        if how["cell"] != [name]:
            how["cell"] = [cell for cell in how["cell"] if cell != name]
        how["sum"] = [sum for sum in how["sum"] if sum != name]
    return name


def add(random, state):
    """A field that was left out is stored again, or one is new."""
    fields = state.product()["fields"]
    if NOTE not in state.names:
        state.names[NOTE] = NOTE
        state.schema["fields"].append({"name": NOTE, "type": ["null", "string"], "default": None})
    absent = [name for name in state.names.values() if name not in fields]
    if absent:
        name = random.choice(absent)
        # A personal field becomes none only where it was left out before; a number is for sums alone.
        fields[name] = "none" if name.startswith("segments") else random.choice([*state.policy["categories"], "none"])
        return f"{name} as {fields[name]}"


def rename(random, state):
    """A field gets another name, and the schema has the old one as an alias."""
    base = random.choice([base for base in state.names if base != "customer"])
    old = state.names[base]
    new = base if old != base else base + SUFFIX
    field = next(field for field in state.schema["fields"] if field["name"] == old)
    field["name"], field["aliases"] = new, sorted({*field.get("aliases", []), old} - {new})
    state.names[base] = new
    swap = lambda text: text.replace(json.dumps(old), json.dumps(new))
    state.policy = json.loads(swap(json.dumps(state.policy)))
    return f"{old} to {new}"


def end(random, state):
    product = state.product()
    if product["end"] == "remove" or random.random() < 0.7:
        cell = random.sample(["customer", "country", "hour"], random.randint(1, 3))
        product["end"] = {"anonymize": {"k": random.randint(2, 4), "of": state.names["recipient"], "cell": cell, "sum": []}}
    else:
        product["end"] = "remove"
    return str(product["end"])


CHANGES = [shorten, shorten, lengthen, lengthen, add_rule, drop_rule, retrigger, rebound, reclassify, reclassify, leave_out, add, rename, end]
