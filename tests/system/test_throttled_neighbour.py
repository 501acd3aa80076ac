# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant whose quota of CPU time is used up does not hold up the launches of another."""

from test_neighbours import assert_not_held_up, crowd


def test_a_throttled_tenant_does_not_hold_up_the_launches_of_another(host, full):
    assert_not_held_up(host, full, crowd)
