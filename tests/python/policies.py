"""Random policies of one small product: the category of each field, how long each is kept, how records end.

The policies differ, and `policy check` accepts most of them.
"""

import json

SCHEMA = {
    "type": "record",
    "name": "Sms",
    "fields": [
        {"name": "recipient", "type": ["null", "string"]},
        {"name": "sender", "type": ["null", "string"]},
        {"name": "body", "type": ["null", "string"]},
        {"name": "media", "type": ["null", {"type": "array", "items": "string"}]},
        {"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "customer", "type": ["null", "string"]},
        {"name": "status", "type": ["null", "string"]},
        {"name": "segments", "type": ["null", "int"]},
    ],
}

TERMS = {
    "phone_number": "pd:TelephoneNumber",
    "content": "pd:Communication",
    "traffic_data": "pd:CommunicationsMetadata",
    "media_data": "pd:Communication",
}
# In the order of their lengths.
KEEPS = ["5 hours", "30 hours", "3 days", "10 days", "1 month", "2 months", "7 months"]
# Zones for buckets of hours do not change their clocks: other tests cover an hour that comes twice.
ZONES = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/Phoenix", "Pacific/Kiritimati"]
MORE_ZONES = ["Europe/Amsterdam", "America/New_York"]
# What starts the clocks of a policy: of its first rule, and of the others.
TRIGGERS = [(["event"], ["event"])] * 2 + [
    (["contract_end"], ["contract_end", "event", "consent_withdrawn"]),
    (["event"], ["contract_end", "event", "event"]),
    (["event"], ["consent_withdrawn", "consent_withdrawn", "event"]),
    (["consent_withdrawn"], ["consent_withdrawn"]),
]


def draw(random):
    """A policy as plain data; JSON is YAML."""
    first, others = random.choice(TRIGGERS)
    names = ["phone_number", *random.sample(["content", "traffic_data", "media_data"], random.randint(1, 3))]
    bucket = random.choice(["day", "hour"])
    some = lambda category: category if category in names else random.choice(names)
    fields = {
        "recipient": "phone_number",
        "sender": some("traffic_data"),
        "body": some("content"),
        "media": some("media_data"),
        "sent_at": some("traffic_data"),
        "customer": "none",
        "status": "none",
        "segments": "none",
    }
    boundary = random.choice(["at_most", "at_least"])
    ends = random.random() < 0.6
    longest = random.randint(2, len(KEEPS) - 1)

    def rule(name, keep, **more):
        trigger = random.choice(others if len(rules) else first)
        rule = {"id": name, "keep": KEEPS[keep], "boundary": boundary, "bases": ["eu-gdpr:A6-1-f"], **more, "trigger": trigger}
        # Consent is no minimum.
        return rule | ({"boundary": "at_most"} if trigger == "consent_withdrawn" else {})

    rules = []
    shorter = lambda than: random.randint(0, than)
    rules.append(rule("all", longest))
    # Where cells count the recipients, nothing may be kept longer than these.
    free = lambda: {} if ends else {"boundary": random.choice(["at_most", "at_least"])}
    for category in names[1:]:
        if random.random() < 0.7:
            rules.append(rule(f"all-{category}", shorter(longest), categories=[category], **free()))
    if random.random() < 0.6:
        keep = random.randint(1, len(KEEPS) - 1)
        rules.append(rule("india", keep, jurisdictions=["IN"], **free()))
        if random.random() < 0.5:
            rules.append(rule("india-more", shorter(keep), jurisdictions=["IN"], categories=names[1:2], **free()))
    if random.random() < 0.5:
        rules.append(rule("globex", random.randint(0, len(KEEPS) - 1), tenants=["globex"], **free()))
    end = "remove"
    if ends:
        cell = random.sample(["customer", "status", "country", "hour"], random.randint(1, 3))
        end = {"anonymize": {"k": random.randint(2, 4), "of": "recipient", "cell": cell, "sum": ["segments"]}}
    product = {
        "topics": ["sms"],
        "schema": "sms.avsc",
        "event_time": "sent_at",
        "tenant": "customer",
        "jurisdiction": {"country_of": "recipient"},
        "subjects": {"recipient": "phone", "sender": "phone"},
        "fields": fields,
        "derive": {"country": {"country_of": "recipient"}, "hour": {"hour_of": "sent_at"}},
        "end": end,
    }
    return {
        "version": f"v{random.randint(1, 99)}",
        "zone": random.choice(ZONES if bucket == "hour" else ZONES + MORE_ZONES),
        "bucket": bucket,
        "categories": {name: {"term": TERMS[name]} for name in names},
        "products": {"sms": product},
        "rules": rules,
    }


def write(policy, schema, folder):
    """Writes a policy and its schema to a folder. Returns the policy's path."""
    for name, data in [("sms.avsc", schema), ("policy.yaml", policy)]:
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
    return f"{folder}/policy.yaml"
