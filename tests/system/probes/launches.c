/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * launches TENANT COUNT FLIGHT SECONDS COMMAND [ARG...]: runs the command so many times through
 * libtenant, FLIGHT at a time, but begins none after so many seconds. Prints a line for each:
 * microseconds from the call to the record, and the reason of its end, "refused" if there was
 * none. A client on the host, not a workload.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenant/run.h>
#include <time.h>

#define FLIGHT_MAX 64

static const char *const reasons[] = { "exited", "signaled", "oom",     "timeout", "seccomp",
	                               "quota",  "killed",   "runtime", "unknown" };

static struct flight {
	struct tn_run *run;
	int64_t began;
} flights[FLIGHT_MAX];

static int64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static void report(struct flight *flight, const char *how)
{
	(void)printf("%" PRId64 " %s\n", now_usec() - flight->began, how);
	flight->run = tn_run_free(flight->run);
}

static int begin(struct flight *flight, const struct tn_client *client,
                 const struct tn_run_spec *spec)
{
	struct tn_error err;

	flight->began = now_usec();
	if (tn_run_start(client, spec, &flight->run, &err) == 0)
		return 0;
	(void)fprintf(stderr, "start: %s\n", err.msg);
	return -1;
}

/* Whether the run has ended. */
static int advance(struct flight *flight)
{
	struct tn_error err;
	int event = tn_run_process(flight->run, &err);

	while (event == TN_RUN_STARTED)
		event = tn_run_process(flight->run, &err);
	if (event < 0) {
		(void)fprintf(stderr, "run: %s\n", err.msg);
		report(flight, "refused");
	} else if (event == TN_RUN_EXITED) {
		report(flight, reasons[tn_run_execution(flight->run)->reason]);
	}
	return flight->run == NULL;
}

int main(int argc, char **argv)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_client *client = NULL;
	struct tn_error err;
	long count, left, running = 0;
	int64_t end;
	int flight_n;

	if (argc < 6)
		return 2;
	spec.tenant = argv[1];
	left = count = atol(argv[2]);
	flight_n = atoi(argv[3]);
	end = now_usec() + atol(argv[4]) * INT64_C(1000000);
	spec.argv = (const char *const *)argv + 5;
	spec.stdin_fd = spec.stdout_fd = spec.stderr_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (flight_n < 1 || flight_n > FLIGHT_MAX || spec.stdin_fd < 0)
		return 2;
	if (tn_client_open(NULL, &client, &err) < 0) {
		(void)fprintf(stderr, "open: %s\n", err.msg);
		return 1;
	}
	/* So that who reads knows when the first is under way. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (left > 0 || running > 0) {
		struct pollfd fds[FLIGHT_MAX];

		if (now_usec() > end)
			left = 0;
		for (int i = 0; i < flight_n; i++) {
			struct flight *flight = &flights[i];

			if (flight->run == NULL && left > 0) {
				if (begin(flight, client, &spec) < 0)
					return 1;
				left--;
				running++;
			}
			fds[i].fd = -1;
			if (flight->run != NULL) {
				fds[i].fd = tn_run_fd(flight->run);
				fds[i].events = tn_run_events(flight->run);
			}
		}
		if (poll(fds, (nfds_t)flight_n, 1000) < 0)
			return 1;
		for (int i = 0; i < flight_n; i++)
			if (flights[i].run != NULL && fds[i].revents != 0)
				running -= advance(&flights[i]);
	}
	(void)tn_client_free(client);
	return 0;
}
