# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant whose quota is used up has more launches on their way than it can pay for: they wait."""

from test_neighbours import crowd, frozen_crowd


def test_launches_that_wait_for_others_are_forgotten_with_their_client(host):
    tenant = host.tenant(host.tier(cpu_quota="20%", executions_max=64, tasks_max=512))
    with crowd(host, tenant):
        pass
    assert tenant.run(["echo", "served"], timeout=60).out == b"served\n"
    assert tenant.leaves() == []
    assert host.ctl_json("ps", tenant.name) == []


def test_a_tenant_that_is_frozen_while_launches_wait_refuses_another_at_once(host):
    tenant = host.tenant(host.tier(cpu_quota="20%", executions_max=64, tasks_max=512))
    with frozen_crowd(host, tenant):
        refused = tenant.run(["true"], timeout=20)
    assert refused.status == 125
    assert refused.err == f"tenant-run: '{tenant.name}' is suspended\n".encode()
