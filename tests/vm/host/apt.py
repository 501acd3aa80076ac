# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the host's apt knows: installed packages, candidate versions, sources, settings.

The guest is made from the same archive that the host uses, so no mirror is named here. Which of
the host's sources are Debian's own is not guessed from host names: apt knows the origin and
code name of every index it has fetched. The matching entries are then taken over as they stand,
with their keys and options.
"""

import os
import re

import command
from report import Broken, say

CODENAME = "bookworm"
SOURCES = "/etc/apt/sources.list"
SOURCES_DIR = "/etc/apt/sources.list.d"
# Settings of fetching (proxies, TLS, retries, clock checks), which the guest's apt takes over;
# what to fetch is none of them.
SETTING = re.compile(r"Acquire::(?!IndexTargets|Languages|CompressionTypes|GzipIndexes)")


def read_list(path):
    """A file of package names, one a line, with comments."""
    with open(path, encoding="utf-8") as lines:
        names = [line.split("#", 1)[0].strip() for line in lines]
    return [name for name in names if name]


def need_root(what):
    if os.geteuid() != 0:
        raise Broken(f"{what} needs root, and this is uid {os.geteuid()}")


def update():
    need_root("apt-get update")
    say("updating apt's package lists")
    command.run(["apt-get", "-q", "update"], "package lists")


def missing(names):
    shown = command.output("dpkg-query", "--show", "--showformat",
                           "${Package} ${db:Status-Status}\n")
    installed = {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def install_missing(names):
    wanted = missing(names)
    if not wanted:
        return
    need_root("installing " + " ".join(wanted))
    say("installing " + " ".join(wanted))
    argv = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600",
            "install", *wanted]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        command.run(argv, "host packages", env=quiet)
    except Broken:  # the lists may be old, or absent
        update()
        command.run(argv, "host packages", env=quiet)


def candidates(names):
    """Name to version that apt would install; names that apt does not know are absent."""
    found = {}
    name = None
    for line in command.output("apt-cache", "policy", *names).splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.startswith("  Candidate: ") and "(none)" not in line:
            found[name] = line.split()[1]
    return found


def debian_targets():
    """The (URI, suite) pairs of the host that are Debian's own and of the guest's release."""
    shown = command.output(
        "apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)",
        "Created-By: Packages")
    targets = set()
    for line in shown.splitlines():
        origin, codename, uri, suite = line.split("|")
        if origin == "Debian" and codename.startswith(CODENAME):
            targets.add((uri.rstrip("/"), suite))
    return targets


def debian_sources():
    """The host's entries for Debian: (text of one-line entries, text of deb822 stanzas)."""
    targets = debian_targets()
    if not targets:
        update()
        targets = debian_targets()
    lines, stanzas = [], []
    for path in source_files():
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if path.endswith(".sources"):
            stanzas += [s for s in split_stanzas(text) if set_of_stanza(s) <= targets]
        else:
            lines += [line for line in text.splitlines() if set_of_line(line) <= targets]
    if not lines and not stanzas:
        raise Broken(f"apt's sources on this host have no Debian {CODENAME}")
    return "".join(f"{line}\n" for line in lines), "\n".join(stanzas)


def source_files():
    files = [SOURCES] if os.path.exists(SOURCES) else []
    if os.path.isdir(SOURCES_DIR):
        names = sorted(os.listdir(SOURCES_DIR))
        files += [f"{SOURCES_DIR}/{n}" for n in names if n.endswith((".list", ".sources"))]
    return files


UNKNOWN = {(None, None)}  # no subset of any targets


def set_of_line(line):
    """The one pair of `deb [options] URI suite component...`."""
    entry = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line)
    return {(entry[1].rstrip("/"), entry[2])} if entry else UNKNOWN


def split_stanzas(text):
    """Paragraphs between empty lines, without comments, which may stand anywhere."""
    text = "".join(f"{line}\n" for line in text.splitlines() if not line.startswith("#"))
    return [f"{stanza.strip()}\n" for stanza in re.split(r"\n\s*\n", text) if stanza.strip()]


def set_of_stanza(stanza):
    """All pairs of a deb822 stanza; a switched-off one or one of sources only has none."""
    unfolded = re.sub(r"\n[ \t]+", " ", stanza)
    fields = {}
    for line in unfolded.splitlines():
        key, _, value = line.partition(":")
        fields[key.strip().lower()] = value.split()
    enabled = fields.get("enabled", ["yes"])[0].lower() in ("yes", "true", "on", "1")
    if not enabled or "deb" not in fields.get("types", []):
        return UNKNOWN
    pairs = {(uri.rstrip("/"), suite)
             for uri in fields.get("uris", []) for suite in fields.get("suites", [])}
    return pairs or UNKNOWN


def settings():
    """The host's settings of fetching, as apt configuration."""
    dump = command.output("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in dump if SETTING.match(line))
