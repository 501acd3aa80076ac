/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stand-in for tenantd on a socket of its own: it speaks the protocol, runs commands
 * without any walls, and misbehaves on request. What it does depends on the tenant:
 *
 *   acme, globex   exist
 *   nobody         NotFound             forbidden  NotPermitted
 *   taken          AlreadyExists        full       QuotaExceeded, with its data
 *   echo           Invalid, whose message is the call's parameters as JSON
 *   gone           the connection ends  silent     no answer comes
 *   garbage        what comes is no JSON
 *   twice          a second answer comes to a call that has one
 *   wrong          the answer lacks what it has to hold
 *   queue          a run that would wait is told to, and then runs
 *   oom, unclear   a run ends for this reason, whatever it does
 *   blind          a run that asked for a terminal is not told which descriptor it is
 */
#ifndef TESTS_FAKE_FAKE_H
#define TESTS_FAKE_FAKE_H

#include <sys/types.h>

#define FAKE_EXECUTION_ID "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"
/* The only execution there is to wait for is that, which ends so much later. */
#define FAKE_WAIT_USEC 300000

/* Serve the socket at @path until the caller's thread ends or the returned process is
 * killed. It listens when this returns. */
pid_t fake_start(const char *path);

#endif
