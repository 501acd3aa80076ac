# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is random in the tests comes from one seed, another in each run, which TN_SEED repeats."""

import os
import random

SEED = int(os.environ.get("TN_SEED") or random.SystemRandom().randrange(2**32))


def source(name):
    """A generator of its own for each @name, whatever else runs."""
    return random.Random(f"{SEED} {name}")
