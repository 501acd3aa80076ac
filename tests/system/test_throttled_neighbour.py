# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant whose quota is used up, and that has more launches on their way than it can pay for."""

from test_neighbours import assert_not_held_up, crowd


def test_a_throttled_tenant_does_not_hold_up_the_launches_of_another(host, full):
    assert_not_held_up(host, full, crowd)
