# SPDX-License-Identifier: LGPL-2.1-or-later
"""Do the bash completions offer what the commands take?

  completions.py SOURCE-TREE BUILD-TREE FAKE-TENANTD

Every command, every long option of each and no other, and the tenants that the daemon knows
(here a stand-in for it). Prints one line per offence and exits 1 if there is any.
"""

import glob
import os
import subprocess
import sys
import tempfile

import manual


def offered(setup, words):
    """What completion gives where the last of @words is being typed."""
    source, environment, prefix = setup
    name = os.path.basename(words[0])
    script = ('source "$1"; function=$2; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '"$function"; printf "%s\\n" "${COMPREPLY[@]}"')
    function = "_" + name.replace("-", "_")
    path = os.path.join(source, "tools/completions", name)
    done = subprocess.run([*prefix, "bash", "-c", script, "bash", path, function, *words],
                          capture_output=True, text=True, check=True, env=environment)
    return done.stdout.split()


def long_options(options):
    return sorted(option for option in options if option.startswith("--"))


def expect(what, got, wanted):
    if sorted(got) != sorted(wanted):
        yield f"{what}: offers {sorted(got)}, expected {sorted(wanted)}"


def check_options(setup, facts):
    yield from expect("tenant-run -", offered(setup, ["tenant-run", "--"]),
                      long_options(facts.run_options))
    yield from expect("tenantctl -", offered(setup, ["tenantctl", "--"]),
                      long_options(facts.global_options))
    yield from expect("tenant-meter -", offered(setup, ["tenant-meter", "--"]),
                      long_options(facts.meter_options))
    yield from expect("tenant-meter", offered(setup, ["tenant-meter", ""]),
                      facts.meter_commands)
    for command, options in facts.meter_commands.items():
        yield from expect(f"tenant-meter {command}",
                          offered(setup, ["tenant-meter", command, "--"]),
                          long_options(options))
    first = {command.split()[0] for command in facts.commands}
    yield from expect("tenantctl", offered(setup, ["tenantctl", ""]), first)
    for group in sorted({command.split()[0] for command in facts.commands if " " in command}):
        second = [command.split()[1] for command in facts.commands
                  if command.startswith(f"{group} ")]
        yield from expect(f"tenantctl {group}", offered(setup, ["tenantctl", group, ""]), second)
    for command, options in facts.commands.items():
        words = ["tenantctl", *command.split(), "--"]
        yield from expect(" ".join(words), offered(setup, words), long_options(options))


def check_names(setup, socket):
    """The stand-in lists what `tenantctl list` shows, which is asked by another way."""
    _, environment, prefix = setup
    lines = subprocess.run([*prefix, "tenantctl", "list", "--socket", socket],
                           capture_output=True, text=True, check=True, env=environment)
    tenants = [line.split()[0] for line in lines.stdout.splitlines()[1:]]
    if not tenants:
        yield "the stand-in has no tenants"
    for words in (["tenantctl", "--socket", socket, "show", ""],
                  ["tenantctl", "usage", "--socket", socket, ""],
                  ["tenantctl", "kill", "--socket", socket, "--all", ""],
                  ["tenant-run", "--socket", socket, "--memory", "64M", ""]):
        yield from expect(" ".join(words), offered(setup, words), tenants)


def check_policy_files(setup):
    """Those that need not be there, and what this host has of others."""
    folder = "/etc/tenantd"
    files = [name[:-len(".yaml")] for name in glob.glob("*.yaml", root_dir=f"{folder}/tiers")]
    files += [f"prices/{name}" for name in glob.glob("*.yaml", root_dir=f"{folder}/prices")]
    yield from expect("tenantctl policy edit", offered(setup, ["tenantctl", "policy", "edit", ""]),
                      ["tenantd.yaml", "meters.yaml", *files])


def check_executions(setup, folder):
    """The stand-in has none that run, so what tenantctl would say of one is said by a script."""
    identity = "5b13e3c2-54d5-4f31-8043-08ce8c8582fb"
    path = os.path.join(folder, "tenantctl")
    with open(path, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\n[ "$*" = "ps --json" ] || exit 1\n'
                   f"""echo '[\n  {{"id": "{identity}", "tenant": "acme"}}\n]'\n""")
    os.chmod(path, 0o755)
    yield from expect("tenantctl kill", offered(setup, [path, "kill", ""]), [identity])


def main():
    source, build, fake = sys.argv[1:]
    environment = dict(os.environ, PATH=os.path.join(build, "tools") + ":" + os.environ["PATH"])
    facts = manual.Facts(source, build)
    with tempfile.TemporaryDirectory() as folder:
        socket = os.path.join(folder, "socket")
        setup = (source, environment, [fake, socket])
        offences = [*check_options(setup, facts), *check_names(setup, socket),
                    *check_policy_files(setup),
                    *check_executions(setup, folder)]
    for offence in offences:
        print(offence)
    return bool(offences)


if __name__ == "__main__":
    sys.exit(main())
