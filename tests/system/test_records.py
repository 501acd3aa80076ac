# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records: why an execution ended, the same wherever it is asked for."""


def test_a_command_that_succeeds_is_recorded_as_exited(host):
    tenant = host.tenant()
    result = tenant.run(["true"])
    assert (result.status, result.out, result.err) == (0, b"", b"")
    assert (result.record["state"], result.record["reason"]) == ("exited", "exited")
    assert result.record["exit_code"] == 0
