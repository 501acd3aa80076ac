# SPDX-License-Identifier: LGPL-2.1-or-later
"""A customer's job: count the words in at least 5 MB of the documentation on this machine.

Prints one line that depends on every byte read, so that two runs can be compared.
"""

import collections
import hashlib
import os
import re
import sys

BYTES_WANTED = 5_000_000
ROOT = "/usr/share/doc"


def texts(root):
    """Paths of plain text and HTML below root, in an order that does not vary."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name.endswith((".txt", ".html")) and not os.path.islink(path):
                yield path


def main():
    counts = collections.Counter()
    read = 0
    for path in texts(ROOT):
        with open(path, "rb") as file:
            data = file.read()
        read += len(data)
        counts.update(re.findall(rb"[a-z]+", data.lower()))
        if read >= BYTES_WANTED:
            break
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    digest = hashlib.sha256(repr(ranked).encode()).hexdigest()
    first = ", ".join(f"{word.decode()} {n}" for word, n in ranked[:3])
    print(f"{read} bytes, {sum(counts.values())} words, {len(counts)} different; {first}; {digest[:16]}")
    return 0 if read >= BYTES_WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
