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
    "tier: t\nquotas: {}",
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


def validator(tenantctl, kind):
    text = subprocess.run([tenantctl, "policy", "schema", kind], capture_output=True, check=True,
                          text=True).stdout
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def parser_takes(tenantctl, text, name):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, name)
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
    for schema, name, good, texts in ((tier, "t.yaml", True, GOOD), (tier, "t.yaml", False, BAD),
                                      (node, "tenantd.yaml", True, GOOD_OF_NODE),
                                      (node, "tenantd.yaml", False, BAD_OF_NODE)):
        for text in texts:
            if parser_takes(tenantctl, text, name) != good:
                wrong.append(f"the parser {'refuses' if good else 'takes'} {text!r}")
            if schema.is_valid(yaml.safe_load(text)) != good:
                wrong.append(f"the schema {'refuses' if good else 'takes'} {text!r}")
    if tier.is_valid({"limits": {}}) or not dropin.is_valid({"limits": {}}):
        wrong.append("only a file that changes another need not name its tier")
    properties = tier.schema["properties"]
    of_node = node.schema["properties"]
    for key, about in [*properties.items(), *properties["limits"]["properties"].items(),
                       *of_node.items(), *of_node["host_reserve"]["properties"].items()]:
        if not about.get("description"):
            wrong.append(f"{key} is not described")
    files_n = len(GOOD + BAD + GOOD_OF_NODE + BAD_OF_NODE)
    print("\n".join(wrong) or f"{files_n} files: parser and schema agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
