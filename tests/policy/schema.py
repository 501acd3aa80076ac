#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does the JSON Schema say of policy files what the parser says?

  schema.py TENANTCTL TIERS-DIRECTORY
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import yaml

GOOD = (
    "tier: t",
    "tier: t\ndisplay_name: Some Name",
    "tier: t\nlimits: {cpu_quota: 12.5%, memory_max: 64M, memory_high: max, tasks_max: 9}",
    "tier: t\nlimits: {memory_max: 67108864, memory_swap_max: 0, runtime_max: 90}",
    "tier: t\nlimits: {runtime_max: 1h30min, cpu_time_max: max, fsize_max: max, oom: process}",
    "tier: t\nlimits: {log_max: 1M}\nlog: journal",
    "tier: t\nrootfs: host\nseccomp: default\nnetwork: {mode: none}",
    "tier: t\nbinds: {allow: [/srv/a, /srv/b], rw: [/srv/a]}",
    "tier: t\nbinds: {}\nlimits: {}",
    "tier: t\noperators: {users: [root, daemon], groups: [adm]}",
    "tier: t\noperators: {}\nlimits: {shrink_grace: 0}",
    "tier: t\nquotas: {}",
    "tier: t\nquotas: {tokens: {limit: 5000000, per: month, enforce: soft, warn: [80, 95]}}",
    "tier: t\nquotas: {agents: {limit: max}, stored_bytes: {limit: 1G, enforce: hard}}",
    "tier: t\nquotas: {cpu_time: {limit: 100h, per: week, on_exhaust: refuse, warn: []}}",
    "tier: t\nquotas: {memory_time: {limit: 500GiBh, per: day}, io_ops: {limit: 0, per: hour}}",
    "tier: t\nquotas: {io_ops: {limit: 9, per: hour, on_exhaust: throttle}}",
    "tier: t\nquotas: {memory_time: {limit: 1GiBh, per: day, on_exhaust: kill}}",
)
# What is wrong with them is the form, which a schema can speak of.
BAD = (
    "display_name: x",
    "tier: No",
    "tier: t\nfrob: 1",
    "tier: t\ndisplay_name: [a]",
    "tier: t\nlimits: []",
    "tier: t\nlimits: {tasks_max: max}",
    "tier: t\nlimits: {tasks_max: 3}",
    "tier: t\nlimits: {tasks_max: many}",
    "tier: t\nlimits: {cpu_quota: 50}",
    "tier: t\nlimits: {cpu_quota: 50.1234%}",
    "tier: t\nlimits: {memory_max: 64MB}",
    "tier: t\nlimits: {memory_max: -1}",
    "tier: t\nlimits: {memory_max: max}",
    "tier: t\nlimits: {runtime_max: 5 minutes}",
    "tier: t\nlimits: {oom: nobody}",
    "tier: t\nlimits: {swap: 1}",
    "tier: t\nlog: syslog",
    "tier: t\nrootfs: image",
    "tier: t\nnetwork: {mode: open}",
    "tier: t\nnetwork: {mode: none, x: 1}",
    "tier: t\nbinds: {allow: relative}",
    "tier: t\nbinds: {allow: [relative]}",
    "tier: t\nbinds: {deny: [/srv]}",
    "tier: t\nquotas: {tokens: 5}",
    "tier: t\nquotas: {tokens: {limit: 5}}",
    "tier: t\nquotas: {tokens: {per: month}}",
    "tier: t\nquotas: {tokens: {limit: 5, per: year}}",
    "tier: t\nquotas: {tokens: {limit: -1, per: month}}",
    "tier: t\nquotas: {tokens: {limit: 1K, per: month}}",
    "tier: t\nquotas: {tokens: {limit: 5, per: month, on_exhaust: refuse}}",
    "tier: t\nquotas: {executions: {limit: 5, per: month, on_exhaust: kill}}",
    "tier: t\nquotas: {tokens: {limit: 5, per: month, warn: 80}}",
    "tier: t\nquotas: {tokens: {limit: 5, per: month, warn: [0]}}",
    "tier: t\nquotas: {tokens: {limit: 5, per: month, warn: [101]}}",
    "tier: t\nquotas: {agents: {limit: 5, per: month}}",
    "tier: t\nquotas: {throttled_time: {limit: 1h, per: month}}",
    "tier: t\nquotas: {memory_time: {limit: 1GiB, per: month}}",
    "tier: t\nquotas: {stored_bytes: {limit: 1GiB}}",
    "tier: t\nquotas: {Tokens: {limit: 5, per: month}}",
    "tier: t\noperators: {users: alice}",
    "tier: t\noperators: {users: [1000]}",
    "tier: t\noperators: {groups: [-x]}",
    "tier: t\noperators: {people: [alice]}",
    "tier: t\nlimits: {shrink_grace: 7200}",
)


GOOD_OF_NODE = (
    "commit_window: 20ms",
    "commit_window: 1",
    "sample_interval: 100ms",
    "retention: {}",
    "retention: {executions: 365d, events: max}",
    "host_reserve: {memory: 0, cpu: 0%}",
    "host_reserve: {memory: 1G, cpu: 12.5%}\nretention: {executions: 1w}",
)
BAD_OF_NODE = (
    "tier: t",
    "commit_window: max",
    "commit_window: [1s]",
    "sample_interval: max",
    "retention: 90d",
    "retention: {tenants: 90d}",
    "retention: {events: 90 days}",
    "host_reserve: {memory: 512MB}",
    "host_reserve: {memory: max}",
    "host_reserve: {cpu: 1}",
    "host_reserve: {io: 10%}",
)


GOOD_METERS = (
    "meters: {}",
    "meters: {documents: {kind: gauge, unit: documents}, gpu_time: {kind: counter, unit: usec}}",
    "meters: {x: {kind: counter}}",
)
BAD_METERS = (
    "meters: []",
    "metres: {}",
    "meters: {x: {}}",
    "meters: {x: counter}",
    "meters: {x: {kind: rate}}",
    "meters: {X: {kind: gauge}}",
    "meters: {x: {kind: gauge, unit: Docs}}",
    "meters: {x: {kind: gauge, unit: aaaaaaaaaaaaaaaa}}",
    "meters: {x: {kind: gauge, max: 1}}",
)
BOOK = "book: t\ncurrency: EUR\nvalid_from: 2026-01-01\n"
GOOD_PRICES = (
    BOOK + "prices: {}",
    BOOK + "valid_until: 2027-01-01\nprices: {cpu_time: {price: '0.036', per: 1h}}",
    BOOK + "prices: {memory_time: {price: 0.005, per: 1GiBh}, executions: {price: '1'}}",
    BOOK + "prices: {io_write_bytes: {price: '0.02', per: 1G}, tokens: {price: 1, per: 1000000}}",
)
BAD_PRICES = (
    BOOK,
    "book: t\nvalid_from: 2026-01-01\nprices: {}",
    "currency: EUR\nvalid_from: 2026-01-01\nprices: {}",
    "book: t\ncurrency: EUR\nprices: {}",
    "book: t\ncurrency: eur\nvalid_from: 2026-01-01\nprices: {}",
    "book: t\ncurrency: EUR\nvalid_from: 1.1.2026\nprices: {}",
    BOOK + "prices: []",
    BOOK + "prices: {tokens: 1}",
    BOOK + "prices: {tokens: {}}",
    BOOK + "prices: {tokens: {price: '-1'}}",
    BOOK + "prices: {tokens: {price: '1.'}}",
    BOOK + "prices: {tokens: {price: '0.0000000000001'}}",
    BOOK + "prices: {tokens: {price: '1000000000000000'}}",
    BOOK + "prices: {tokens: {price: '1', per: 0}}",
    BOOK + "prices: {tokens: {price: '1', per: max}}",
    BOOK + "prices: {cpu_time: {price: '1'}}",
    BOOK + "prices: {agents: {price: '1'}}",
    BOOK + "prices: {tokens: {price: '1', tax: 2}}",
    BOOK + "tax: 1\nprices: {}",
)


class Loader(yaml.SafeLoader):
    """As YAML 1.2 has it: a day is text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def validator(tenantctl, kind):
    text = subprocess.run([tenantctl, "policy", "schema", kind], capture_output=True, check=True,
                          text=True).stdout
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def parser_takes(tenantctl, text, name):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        return subprocess.run([tenantctl, "policy", "check", str(path)], capture_output=True,
                              check=False).returncode == 0


def main(tenantctl, tiers):
    tier, dropin = validator(tenantctl, "tier"), validator(tenantctl, "drop-in")
    wrong = [f"{path}: {error.message}" for path in sorted(Path(tiers).glob("*.yaml"))
             for error in tier.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))]
    node = validator(tenantctl, "tenantd")
    wrong += [f"tenantd.yaml: {error.message}" for error in node.iter_errors(yaml.safe_load(
        Path(tiers).with_name("tenantd.yaml").read_text(encoding="utf-8")))]
    meters, prices = validator(tenantctl, "meters"), validator(tenantctl, "prices")
    table = ((tier, "t.yaml", True, GOOD), (tier, "t.yaml", False, BAD),
             (node, "tenantd.yaml", True, GOOD_OF_NODE),
             (node, "tenantd.yaml", False, BAD_OF_NODE),
             (meters, "meters.yaml", True, GOOD_METERS),
             (meters, "meters.yaml", False, BAD_METERS),
             (prices, "prices/t.yaml", True, GOOD_PRICES),
             (prices, "prices/t.yaml", False, BAD_PRICES))
    for schema, name, good, texts in table:
        for text in texts:
            if parser_takes(tenantctl, text, name) != good:
                wrong.append(f"the parser {'refuses' if good else 'takes'} {text!r}")
            if schema.is_valid(yaml.load(text, Loader)) != good:
                wrong.append(f"the schema {'refuses' if good else 'takes'} {text!r}")
    if tier.is_valid({"limits": {}}) or not dropin.is_valid({"limits": {}}):
        wrong.append("only a file that changes another need not name its tier")
    if not dropin.is_valid({"quotas": {"tokens": {"warn": [50]}}}):
        wrong.append("a file that changes another need not say all of a quota")
    custom = {"quotas": {"documents": {"limit": 5}}}
    if not tier.is_valid({"tier": "t", **custom}):
        wrong.append("a quota may be on a meter that meters.yaml declares")
    properties = tier.schema["properties"]
    of_node = node.schema["properties"]
    for key, about in [*properties.items(), *properties["limits"]["properties"].items(),
                       *meters.schema["properties"].items(),
                       *prices.schema["properties"].items(), *of_node.items(), *of_node["host_reserve"]["properties"].items()]:
        if not about.get("description"):
            wrong.append(f"{key} is not described")
    files_n = sum(len(texts) for _, _, _, texts in table)
    print("\n".join(wrong) or f"{files_n} files: parser and schema agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
