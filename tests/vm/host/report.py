# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the host side speaks and ends: progress on stderr, failures as one exception."""

import os
import signal
import sys
import traceback

EXIT_TIMEOUT = 124
EXIT_BROKEN = 125


class Broken(Exception):
    """Whatever keeps the job from being run or its status from being known: exit status 125.

    `detail` is bytes for a person to read after the message, such as the end of the console.
    """

    def __init__(self, message, detail=b""):
        super().__init__(message)
        self.detail = detail


class NotUp(Broken):
    """The machine has begun and not come up."""


class TimedOut(Exception):
    """The job took longer than it may: exit status 124."""


class Signalled(BaseException):
    """A signal asked us to end. Not an Exception: nothing but `finally` may get in its way."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def say(text):
    print(f"tests/vm: {text}", file=sys.stderr, flush=True)


def raise_on_signals():
    """Turns the signals that end a process into Signalled, so that every `finally` runs."""

    def handler(number, _frame):
        for other in ENDING:
            signal.signal(other, signal.SIG_IGN)  # one is enough; let the clean-up finish
        raise Signalled(number)

    for number in ENDING:
        signal.signal(number, handler)


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_by(number):
    """Ends by a signal, so that a shell or make that started us sees what happened."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def main(action):
    """Runs `action` and ends the process with the status that it gives or deserves."""
    raise_on_signals()
    try:
        sys.exit(action())
    except TimedOut as late:
        say(late)
        sys.exit(EXIT_TIMEOUT)
    except Broken as broken:
        say(broken)
        sys.stderr.buffer.write(broken.detail)
        sys.exit(EXIT_BROKEN)
    except Signalled as signalled:
        exit_by(signalled.number)
    except Exception:  # a bug of ours, or a full disk: no status of the script's in any case
        traceback.print_exc()
        sys.exit(EXIT_BROKEN)
