# SPDX-License-Identifier: LGPL-2.1-or-later
"""The house rules that a machine can check.

  direction  a room includes only what stands on a lower floor, or itself
  adapters   a library's header is included by its one adapter file only
  size       no file over 800 lines, no function over 70
  licence    every source file begins with its SPDX line
  top        nothing at the top level beyond the agreed list

Prints one line per offence and exits 1 if there is any. With --self-test, checks itself on
made-up offences instead.
"""

import os
import re
import subprocess
import sys

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70

# Which rooms the files of a room may include from, beside their own.
MAY_INCLUDE = {
    "include": set(),
    "policy": {"include"},
    "isolate": {"include"},
    "runtime": {"include", "policy"},
    "tools": {"include", "policy"},
}
# What crosses the rooms all the same, by the file that may.
ALSO = {("runtime", "isolate/spec.h")}

ADAPTERS = {
    "yaml.h": {"policy/document.c"},
    "seccomp.h": {"policy/filter.c"},
    "sodium.h": {"policy/digest.c"},
    "libcgroup.h": {"isolate/hierarchy.c"},
    "netlink/": {"isolate/link.c"},
    "sys/capability.h": {"isolate/channel.c"},
    "sqlite3.h": {"runtime/store/"},
    "uuid/uuid.h": {"runtime/identity.c"},
    "systemd/": {"runtime/loop.c", "runtime/logs/manager.c", "runtime/logs/journal_sink.c"},
}

TOP = {"meson.build", "meson_options.txt", "README.md", "LICENSE", "include", "policy", "isolate",
       "runtime", "tools", "tests"}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def resolve(path, kind, name):
    """The repository's file that an include names, or None for a system's."""
    candidates = [os.path.join(os.path.dirname(path), name)] if kind == '"' else []
    candidates += [os.path.join("include", name), name, os.path.join("runtime", name)]
    for candidate in candidates:
        candidate = os.path.normpath(candidate)
        if os.path.exists(candidate):
            return candidate
    return None


def check_direction(path, number, target):
    room, other = path.split("/")[0], target.split("/")[0]
    if room == other or other in MAY_INCLUDE[room] or (room, target) in ALSO:
        return
    # libtenant is what the tools are built on, through its public headers alone.
    yield f"{path}:{number}: {room}/ may not include {target}"


def check_adapter(path, number, name):
    for header, allowed in ADAPTERS.items():
        if (name == header or (header.endswith("/") and name.startswith(header))) and \
                not any(path == one or (one.endswith("/") and path.startswith(one))
                        for one in allowed):
            yield f"{path}:{number}: <{name}> is for {', '.join(sorted(allowed))} only"


def check_includes(path, lines):
    if path.split("/")[0] not in MAY_INCLUDE:
        return
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = resolve(path, *match.groups())
        if target is None:
            yield from check_adapter(path, number, match.group(2))
        else:
            yield from check_direction(path, number, target)


def check_size(path, lines):
    if len(lines) > FILE_LINES_MAX:
        yield f"{path}: {len(lines)} lines, at most {FILE_LINES_MAX}"
    if not path.endswith((".c", ".h")):
        return
    begun = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            begun = number
        elif line.startswith("}") and begun:
            if number - begun - 1 > FUNCTION_LINES_MAX:
                yield f"{path}:{begun}: a function of {number - begun - 1} lines"
            begun = None


def check_licence(path, lines):
    if not any("SPDX-License-Identifier: LGPL-2.1-or-later" in line for line in lines[:3]):
        yield f"{path}: no SPDX line"


def tracked():
    names = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    return names.stdout.splitlines()


def check_top(names):
    for name in sorted({name.split("/")[0] for name in names}):
        if name not in TOP and not name.startswith("."):
            yield f"{name}: not among what the top level holds"


def check_tree(names):
    yield from check_top(names)
    for path in names:
        if not path.endswith((".c", ".h", ".py", ".build")) or not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        yield from check_size(path, lines)
        if os.path.getsize(path) > 0:
            yield from check_licence(path, lines)
        yield from check_includes(path, lines)


def self_test():
    cases = [
        check_includes("isolate/x.c", ['#include "../policy/tier.h"']),
        check_includes("policy/x.c", ["#include <isolate/spec.h>"]),
        check_includes("tools/x.c", ["#include <runtime/wire/varlink.h>"]),
        check_includes("runtime/x.c", ["#include <yaml.h>"]),
        check_includes("isolate/x.c", ["#include <sqlite3.h>"]),
        check_size("policy/x.c", ["{"] + ["\tx();"] * 71 + ["}"]),
        check_size("policy/x.h", [""] * 801),
        check_licence("x.c", ["int x;"]),
        check_top(["vendor/x.c"]),
    ]
    missed = [number for number, case in enumerate(cases) if not list(case)]
    good = [
        check_includes("runtime/x.c", ["#include <isolate/spec.h>", "#include <policy/tier.h>"]),
        check_includes("tools/x.c", ["#include <tenant/run.h>", "#include <base/fd.h>"]),
        check_size("policy/x.c", ["{"] + ["\tx();"] * 70 + ["}"]),
    ]
    wrong = [offence for case in good for offence in case]
    for number in missed:
        print(f"case {number} was not noticed")
    for offence in wrong:
        print(f"wrongly noticed: {offence}")
    return bool(missed or wrong)


def main():
    os.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    offences = list(check_tree(tracked()))
    for offence in offences:
        print(offence)
    return bool(offences)


if __name__ == "__main__":
    sys.exit(main())
