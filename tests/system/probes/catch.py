# SPDX-License-Identifier: LGPL-2.1-or-later
"""catch.py SIGNAL...: catches these signals, in a child of the same process group too; each says
which ones come."""

import os
import signal
import sys

numbers = [int(argument) for argument in sys.argv[1:]]
who = "child" if os.fork() == 0 else "parent"


def say(number, _frame):
    os.write(1, f"{who} {number};".encode())


for number in numbers:
    signal.signal(number, say)
os.write(1, f"{who} ready;".encode())
while True:
    signal.pause()
