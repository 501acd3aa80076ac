# SPDX-License-Identifier: LGPL-2.1-or-later
"""Do the manual pages say what the programs say?

  manual.py [--self-test] SOURCE-TREE BUILD-TREE

Each option in the help of tenant-run, of every command of tenantctl and of tenant-meter and of tenantd, each key
of a tier, of tenantd.yaml, of meters.yaml, of a price book and of bounds.conf, each builtin meter, with its range and default, must stand in the page, where the
page explains it; and no page may explain an option that is not there. Prints one line per
offence and exits 1 if there is any. With --self-test, takes each of these out of the pages in
turn and fails if one of them is not missed.
"""

import math
import os
import re
import subprocess
import sys
import tempfile

PAGES = ["tenant-meter.1", "tenant-run.1", "tenantctl.1", "tenantd-bounds.5", "tenantd-meters.5", "tenantd-prices.5",
         "tenantd-tier.5", "tenantd.8", "tenantd.yaml.5"]
OPTION = re.compile(r"^ {2,6}(?:(-[a-zA-Z]), )?(--[a-z-]+)")
# Beyond every limit, in some unit.
BEYOND = ["0", "1us", "2h", "1025T", "99999999999999999"]
C_NAMES = {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "SECOND": 10**6,
           "DAY": 864 * 10**8, "INT64_MAX": (1 << 63) - 1,
           "BOUNDS_UID_END": (1 << 32) - 1}


def run(*command):
    # What a command says is the point here, not how it ends.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def options_in(text):
    return [name for line in text.splitlines() if (match := OPTION.match(line))
            for name in match.groups() if name]


def c_number(text):
    """The value of a constant expression as our tables hold them: factors."""
    text = re.sub(r"INT64_C\((\d+)\)", r"\1", text)
    return math.prod(C_NAMES[factor] if factor in C_NAMES else int(factor)
                     for factor in re.split(r"[ ()*]+", text.strip("() ")))


def as_size(number):
    for suffix, shift in (("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        if number and number % (1 << shift) == 0:
            return f"{number >> shift}{suffix}"
    return str(number)


def as_span(usec):
    for suffix, unit in (("d", 86400000000), ("h", 3600000000), ("min", 60000000),
                         ("s", 1000000), ("ms", 1000)):
        if usec % unit == 0:
            return f"{usec // unit}{suffix}"
    return f"{usec}us"


def limit_defaults(path):
    """Of each limit, or setting, as a policy file writes it."""
    known = {"POLICY_UNLIMITED": "max", "POLICY_CPU_PERIOD_USEC": "100%",
             "POLICY_OOM_GROUP": "group"}
    formats = {"BYTES": as_size, "DURATION": as_span, "COUNT": str,
               "CPU_QUOTA": lambda usec: f"{usec / 1000:g}%"}
    defaults = {}
    with open(path, encoding="utf-8") as file:
        rows = re.findall(r'\.key = "(\w+)",\s*\.type = LIMITS_(\w+),(.*?)\.about', file.read(),
                          re.DOTALL)
    for key, kind, row in rows:
        same = re.search(r'\.same_as = "(\w+)"', row)
        fallback = re.search(r"\.fallback = ([^,]+),", row)
        if same:
            defaults[key] = same[1]
        elif fallback[1] in known:
            defaults[key] = known[fallback[1]]
        else:
            defaults[key] = formats[kind](c_number(fallback[1]))
    return defaults


def bounds_keys(path):
    """Each key of bounds.conf and what stands in parentheses behind it."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    keys = {}
    for name, is_path, low, high, default in re.findall(
            r'\{ "(\w+)",\s*(true|false),\s*([^,]+),\s*([^,]+),\s*([^,]+),\s*offsetof', text):
        if is_path == "true":
            default = re.search(rf'\.{name} = "([^"]+)"', text)[1]
            keys[name] = f"(a path; default {default})"
        else:
            keys[name] = f"({c_number(low)} to {c_number(high)}; default {c_number(default)})"
    return keys


class Facts:
    """What the programs say of themselves."""

    def __init__(self, source, build):
        self.ctl = os.path.join(build, "tools/tenantctl")
        self.run_options = options_in(run(os.path.join(build, "tools/tenant-run"), "--help"))
        self.daemon_options = re.findall(r"--[a-z-]+(?=[\] ])",
                                         run(os.path.join(build, "isolate/tenantd"), "--usage"))
        text = run(self.ctl, "--help")
        self.global_options = options_in(text)
        self.commands = {name: options_in(run(self.ctl, *name.split(), "--help")) for name in
                         re.findall(r"^  ([a-z]+(?: [a-z]+)?) ", text, re.MULTILINE)}
        meter = os.path.join(build, "tools/tenant-meter")
        text = run(meter, "--help")
        self.meter_options = options_in(text)
        self.meter_commands = {name: options_in(run(meter, name, "--help")) for name in
                               re.findall(r"^  ([a-z]+(?:-[a-z]+)?) ", text, re.MULTILINE)}
        self.tier_keys = (self.keys("") + self.keys("network") + self.keys("binds")
                          + self.keys("operators")
                          + self.keys_said("quotas: {tokens: {zzzzzzzz: 1}}\n"))
        with open(os.path.join(source, "include/base/meter.h"), encoding="utf-8") as file:
            self.meters = re.findall(r'\t\t(?:KERNEL|COUNTER|GAUGE)\("(\w+)"', file.read())
        self.meter_keys = (self.keys("", "meters.yaml") + self.keys_said(
            "meters: {x: {zzzzzzzz: 1}}\n", "meters.yaml"))
        self.book_keys = (self.keys("", "prices/x.yaml") + self.keys_said(
            "prices: {tokens: {zzzzzzzz: 1}}\n", "prices/x.yaml"))
        self.limits = {key: self.range(key) for key in self.keys("limits")}
        defaults = limit_defaults(os.path.join(source, "policy/limits.c"))
        self.limits = {key: (low_high, defaults[key])
                       for key, low_high in self.limits.items()}
        self.daemon_keys = self.keys("", "tenantd.yaml")
        defaults = limit_defaults(os.path.join(source, "policy/daemon.c"))
        self.daemon = {key: (self.range(key, "tenantd.yaml", noun), defaults[key])
                       for noun in self.daemon_keys for key in self.settings(noun)}
        self.bounds = bounds_keys(os.path.join(source, "isolate/bounds.c"))

    def check(self, text, name="x.yaml"):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(("tier: x\n" if name == "x.yaml" else "") + text)
            return run(self.ctl, "policy", "check", path)

    def settings(self, noun):
        """The keys of a mapping in tenantd.yaml, or the one that is none."""
        said = self.keys(noun, "tenantd.yaml")
        return said if "tenantctl" not in said[0] else [noun]

    def keys(self, noun, name="x.yaml"):
        return self.keys_said(f"{noun}: {{zzzzzzzz: 1}}\n" if noun else "zzzzzzzz: 1\n", name)

    def keys_said(self, text, name="x.yaml"):
        """The keys that may stand where @text has one that is none."""
        said = self.check(text, name)
        return said.strip().rpartition("this version enforces: ")[2].split(", ")

    def range(self, key, name="x.yaml", noun="limits"):
        """ "4M to 1024T" """
        for value in BEYOND:
            said = self.check(f"{key}: {value}\n" if key == noun
                              else f"{noun}: {{{key}: {value}}}\n", name)
            match = re.search(r"is out of range; expected .*?(\S+ to [^\s,]+)( or max)?", said)
            if match:
                return match[1]
        return ""

    def complete(self):
        """Nothing was found where there is something: the programs or their sources changed."""
        return {
            "tenant-run's options": len(self.run_options) >= 16,
            "tenantd's options": len(self.daemon_options) >= 7,
            "tenantctl's commands": len(self.commands) >= 10 and all(self.commands.values()),
            "tenant-meter's commands": len(self.meter_commands) == 8 and
            all(self.meter_commands.values()),
            "a tier's keys": len(self.tier_keys) >= 10 and len(self.limits) >= 13,
            "a tier's ranges": sum(bool(low_high) for low_high, _ in self.limits.values()) ==
            len(self.limits) - 1,  # but for oom, which has words
            "the keys of tenantd.yaml": len(self.daemon_keys) >= 3 and len(self.daemon) >= 5 and
            all(low_high for low_high, _ in self.daemon.values()),
            "the meters": len(self.meters) >= 17,
            "the keys of meters.yaml": len(self.meter_keys) >= 3,
            "the keys of a price book": len(self.book_keys) >= 7,
            "the keys of bounds.conf": len(self.bounds) >= 9,
        }


def terms(text):
    """The lines that a page explains something under, in bold at their beginning."""
    return [line for line in text.splitlines() if line.startswith("*")]


def explains(text, option):
    return any(f"*{option}*" in line for line in terms(text))


def section(text, title):
    """What stands below heading @title; headings in a row share it."""
    parts = re.split(r"^(#+ .*)$", text, flags=re.MULTILINE)
    for i in range(1, len(parts), 2):
        if re.match(rf"#+ {re.escape(title)}( |$)", parts[i]):
            while not parts[i + 1].strip() and i + 3 < len(parts):
                i += 2
            return parts[i + 1]
    return ""


def check_options(name, text, options):
    for option in options:
        if not explains(text, option):
            yield f"{name}: option {option} is not explained"


def check_surplus(name, text, options):
    for line in terms(text):
        for option in re.findall(r"\*(--?[a-z][a-z-]*)\*", line.partition(" (")[0]):
            if line.startswith("*-") and option not in options:
                yield f"{name}: {option} is explained and is no option"


def check_keys(page, text, keys, values):
    for key in keys:
        if not re.search(rf"^\t?\*{key}\* \(", text, re.MULTILINE):
            yield f"{page}: key {key} is not explained"
    for key, (low_high, default) in values.items():
        found = re.search(rf"^\t?\*{key}\* \((.*)\)$", text, re.MULTILINE)
        if not found:
            yield f"{page}: {key} is not explained"
        elif low_high not in found[1]:
            yield f"{page}: {key} ranges from {low_high}"
        elif not found[1].endswith(f"default: {default}"):
            yield f"{page}: {key} has default {default}"


def check_bounds(text, keys):
    for key, about in keys.items():
        if f"\n*{key}* {about}\n" not in text:
            yield f"tenantd-bounds.5: expected '*{key}* {about}'"


def check_commands(page, text, own, commands):
    common = section(text, "OPTIONS")
    yield from check_options(page, common, own)
    for command, options in commands.items():
        of_command = section(text, command)
        if not of_command:
            yield f"{page}: command {command} has no section"
        yield from check_options(f"{page}, {command}", common + of_command, options)
        yield from check_surplus(f"{page}, {command}", of_command, options)


def check(pages, facts):
    for what, found in facts.complete().items():
        if not found:
            yield f"{what} could not be found out"
    yield from check_options("tenant-run.1", pages["tenant-run.1"], facts.run_options)
    yield from check_surplus("tenant-run.1", pages["tenant-run.1"], facts.run_options)
    yield from check_options("tenantd.8", pages["tenantd.8"], facts.daemon_options)
    yield from check_surplus("tenantd.8", pages["tenantd.8"], facts.daemon_options)

    yield from check_commands("tenantctl.1", pages["tenantctl.1"], facts.global_options,
                              facts.commands)
    yield from check_commands("tenant-meter.1", pages["tenant-meter.1"], facts.meter_options,
                              facts.meter_commands)
    yield from check_keys("tenantd-tier.5", pages["tenantd-tier.5"], facts.tier_keys,
                          facts.limits)
    yield from check_keys("tenantd.yaml.5", pages["tenantd.yaml.5"], facts.daemon_keys,
                          facts.daemon)
    yield from check_keys("tenantd-meters.5", pages["tenantd-meters.5"],
                          facts.meters + facts.meter_keys, {})
    yield from check_keys("tenantd-prices.5", pages["tenantd-prices.5"], facts.book_keys, {})
    yield from check_bounds(pages["tenantd-bounds.5"], facts.bounds)


def self_test(pages, facts):
    """Each as (page, what stands there, what stands there instead)."""
    changes = [("tenant-run.1", f"*{option}*", "*x*") for option in facts.run_options]
    changes += [("tenantd.8", f"*{option}*", "*x*") for option in facts.daemon_options]
    changes += [("tenantctl.1", f"*{option}*", "*x*")
                for options in facts.commands.values() for option in options]
    changes += [("tenantctl.1", f"\n## {command}", "\n## x") for command in facts.commands]
    changes += [("tenant-meter.1", f"*{option}*", "*x*")
                for options in facts.meter_commands.values() for option in options]
    changes += [("tenant-meter.1", f"\n## {command}", "\n## x")
                for command in facts.meter_commands]
    for page, keys, values in (("tenantd-tier.5", facts.tier_keys, facts.limits),
                               ("tenantd-meters.5", facts.meters + facts.meter_keys, {}),
                               ("tenantd-prices.5", facts.book_keys, {}),
                               ("tenantd.yaml.5", facts.daemon_keys, facts.daemon)):
        changes += [(page, f"*{key}* (", "*x* (") for key in keys + list(values)]
        changes += [(page, f"default: {default})", "default: x)")
                    for _, default in values.values()]
        changes += [(page, low_high, "x") for low_high, _ in values.values() if low_high]
    changes += [("tenantd-bounds.5", f"*{key}* {about}", f"*{key}* (x)")
                for key, about in facts.bounds.items()]
    changes += [(page, "\n# OPTIONS\n", "\n# OPTIONS\n\n*--frob*\n\tx\n")
                for page in ("tenant-run.1", "tenantd.8")]
    changes += [("tenantctl.1", "\n## list\n", "\n## list\n\n*--frob*\n\tx\n")]
    for page, old, new in changes:
        changed = dict(pages, **{page: pages[page].replace(old, new)})
        if changed == pages or not list(check(changed, facts)):
            yield f"{page}: '{old.strip()}' made '{new.strip()}' is not noticed"


def main():
    arguments = sys.argv[1:]
    testing = "--self-test" in arguments
    source, build = [argument for argument in arguments if argument != "--self-test"]
    facts = Facts(source, build)
    pages = {}
    for page in PAGES:
        with open(os.path.join(source, "tools/man", page + ".scd"), encoding="utf-8") as file:
            pages[page] = file.read()
    offences = list((self_test if testing else check)(pages, facts))
    for offence in offences:
        print(offence)
    return bool(offences)


if __name__ == "__main__":
    sys.exit(main())
