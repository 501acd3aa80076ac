/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What times launches: a list of rows, each a way to run one command, and launches of
 * them in one process, one after the other, so that all of them meet the same machine.
 *
 * A row is one argument, KIND and words with a tab between them:
 *
 *   exec<TAB>PROGRAM<TAB>ARGUMENT…   posix_spawn(3), which is vfork and exec, and wait;
 *                                    a last argument "@" becomes a name used only once
 *   run<TAB>COMMAND<TAB>ARGUMENT…    by libtenant, for the tenant, and wait
 *   run-no-init<TAB>…                the same with the command as the sandbox's pid 1
 *
 * Round by round every row has its turn, in an order drawn anew each time: who comes
 * after whom is left to chance. Printed is a line per launch, "row microseconds". With
 * --flights N it is how many launches a row makes in a time with N of them under way:
 * "row launches microseconds". Any launch that does not end with status 0 ends it all.
 */
#include <tenant/run.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/num.h>

#ifdef BENCH_NO_INIT
#define HAS_NO_INIT 1
#else
#define HAS_NO_INIT 0
#endif

#define ROWS_MAX    32
#define WORDS_MAX   256
#define FLIGHTS_MAX 64
#define ROUNDS_MAX  100000
#define USEC_MAX    (10 * (int64_t)CLOCK_USEC_PER_SEC)

enum kind {
	KIND_EXEC,
	KIND_RUN,
	KIND_RUN_NO_INIT,
};

static const char *const kind_names[] = {
	[KIND_EXEC] = "exec", [KIND_RUN] = "run", [KIND_RUN_NO_INIT] = "run-no-init"
};

struct row {
	enum kind kind;
	char *words[WORDS_MAX + 1];
};

struct bench {
	const char *socket, *tenant;
	int64_t rounds, seed, gap_usec, flights, slice_usec;
	struct row rows[ROWS_MAX];
	size_t rows_n;
	struct tn_client *client;
	posix_spawn_file_actions_t quiet;
	int null_fd;
	uint64_t random;
	unsigned long long names_n;
};

/* xorshift64*: the same numbers for the same seed everywhere. */
static uint64_t draw(struct bench *bench, uint64_t below)
{
	bench->random ^= bench->random >> 12;
	bench->random ^= bench->random << 25;
	bench->random ^= bench->random >> 27;
	return (bench->random * UINT64_C(2685821657736338717) >> 33) % below;
}

static pid_t row_spawn(struct bench *bench, const struct row *row)
{
	char *words[WORDS_MAX + 1], name[32];
	size_t n = 0;
	pid_t pid;
	int r;

	while (row->words[n] != NULL)
		n++;
	memcpy(words, row->words, (n + 1) * sizeof(words[0]));
	if (strcmp(words[n - 1], "@") == 0) {
		(void)snprintf(name, sizeof(name), "bench-%llu", ++bench->names_n);
		words[n - 1] = name;
	}
	r = posix_spawn(&pid, words[0], &bench->quiet, NULL, words, environ);
	errno = r;
	if (r != 0)
		err(1, "spawn %s", row->words[0]);
	return pid;
}

static void exec_check(const struct row *row, int status)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		errx(1, "%s ended with wait status 0x%x", row->words[0], (unsigned int)status);
}

static struct tn_run *row_run(const struct bench *bench, const struct row *row)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_error error = { 0 };
	struct tn_run *run;

	spec.tenant = bench->tenant;
	spec.argv = (const char *const *)row->words;
	spec.stdin_fd = spec.stdout_fd = spec.stderr_fd = bench->null_fd;
#ifdef BENCH_NO_INIT
	spec.no_init = row->kind == KIND_RUN_NO_INIT;
#endif
	if (tn_run_start(bench->client, &spec, &run, &error) < 0)
		errx(1, "start %s: %s", row->words[0], error.msg);
	return run;
}

static void run_check(const struct row *row, const struct tn_run *run)
{
	const struct tn_execution *execution = tn_run_execution(run);

	if (execution->reason != TN_REASON_EXITED || execution->exit_code != 0)
		errx(1, "%s ended: %s", row->words[0], tn_reason_name(execution->reason));
}

static void launch(struct bench *bench, const struct row *row)
{
	struct tn_error error = { 0 };
	struct tn_run *run;
	int status;

	if (row->kind == KIND_EXEC) {
		if (waitpid(row_spawn(bench, row), &status, 0) < 0)
			err(1, "wait for %s", row->words[0]);
		exec_check(row, status);
		return;
	}
	run = row_run(bench, row);
	if (tn_run_wait(run, &error) < 0)
		errx(1, "run %s: %s", row->words[0], error.msg);
	run_check(row, run);
	tn_run_free(run);
}

static void pause_for(int64_t usec)
{
	struct timespec ts = { .tv_sec = usec / CLOCK_USEC_PER_SEC,
		               .tv_nsec = usec % CLOCK_USEC_PER_SEC * CLOCK_NSEC_PER_USEC };

	(void)nanosleep(&ts, NULL);
}

static void shuffle(struct bench *bench, size_t order[static ROWS_MAX])
{
	for (size_t i = 0; i < bench->rows_n; i++) {
		size_t j = draw(bench, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
}

static void time_rounds(struct bench *bench)
{
	for (int64_t round = 0; round < bench->rounds; round++) {
		size_t order[ROWS_MAX] = { 0 };

		shuffle(bench, order);
		for (size_t i = 0; i < bench->rows_n; i++) {
			struct timespec begin, end;

			if (bench->gap_usec > 0)
				pause_for((int64_t)draw(bench, (uint64_t)bench->gap_usec + 1));
			(void)clock_gettime(CLOCK_MONOTONIC, &begin);
			launch(bench, &bench->rows[order[i]]);
			(void)clock_gettime(CLOCK_MONOTONIC, &end);
			(void)printf("%zu %.3f\n", order[i],
			             (double)(end.tv_sec - begin.tv_sec) * 1e6 +
			                     (double)(end.tv_nsec - begin.tv_nsec) / 1e3);
		}
	}
}

/* Keep so many processes under way until the time is over; returns how many ended. */
static int64_t fly_exec(struct bench *bench, const struct row *row, int64_t until)
{
	int64_t under_way = 0, done = 0;
	int status;

	for (;;) {
		bool more = clock_usec(CLOCK_MONOTONIC) < until;

		for (; more && under_way < bench->flights; under_way++)
			(void)row_spawn(bench, row);
		if (under_way == 0)
			return done;
		if (wait(&status) < 0)
			err(1, "wait for %s", row->words[0]);
		exec_check(row, status);
		under_way--;
		done++;
	}
}

/* True once it has ended, and is freed. */
static bool run_step(const struct row *row, struct tn_run *run)
{
	struct tn_error error = { 0 };
	int r;

	do
		r = tn_run_process(run, &error);
	while (r == TN_RUN_STARTED);
	if (r < 0)
		errx(1, "run %s: %s", row->words[0], error.msg);
	if (r != TN_RUN_EXITED)
		return false;
	run_check(row, run);
	tn_run_free(run);
	return true;
}

static int64_t fly_run(const struct bench *bench, const struct row *row, int64_t until)
{
	struct tn_run *runs[FLIGHTS_MAX] = { NULL };
	int64_t done = 0;

	for (;;) {
		bool more = clock_usec(CLOCK_MONOTONIC) < until;
		struct pollfd fds[FLIGHTS_MAX];
		nfds_t under_way = 0;

		for (int64_t i = 0; i < bench->flights; i++) {
			if (runs[i] == NULL && more)
				runs[i] = row_run(bench, row);
			fds[i] = (struct pollfd){ .fd = -1 };
			if (runs[i] == NULL)
				continue;
			fds[i].fd = tn_run_fd(runs[i]);
			fds[i].events = tn_run_events(runs[i]);
			under_way++;
		}
		if (under_way == 0)
			return done;
		if (poll(fds, (nfds_t)bench->flights, -1) < 0)
			err(1, "poll");
		for (int64_t i = 0; i < bench->flights; i++)
			if (fds[i].revents != 0 && run_step(row, runs[i])) {
				runs[i] = NULL;
				done++;
			}
	}
}

/* A slice of time for each row, round by round. */
static void time_flights(struct bench *bench)
{
	for (int64_t round = 0; round < bench->rounds; round++) {
		size_t order[ROWS_MAX] = { 0 };

		shuffle(bench, order);
		for (size_t i = 0; i < bench->rows_n; i++) {
			const struct row *row = &bench->rows[order[i]];
			int64_t begin = clock_usec(CLOCK_MONOTONIC);
			int64_t until = begin + bench->slice_usec;
			int64_t n = row->kind == KIND_EXEC ? fly_exec(bench, row, until)
			                                   : fly_run(bench, row, until);

			(void)printf("%zu %lld %lld\n", order[i], (long long)n,
			             (long long)(clock_usec(CLOCK_MONOTONIC) - begin));
		}
	}
}

static void row_add(struct bench *bench, char *text)
{
	struct row *row = &bench->rows[bench->rows_n];
	const char *kind = strsep(&text, "\t");
	size_t n = 0;

	if (bench->rows_n++ == ROWS_MAX)
		errx(2, "more than %d rows", ROWS_MAX);
	while (text != NULL && n < WORDS_MAX)
		row->words[n++] = strsep(&text, "\t");
	if (text != NULL || n == 0)
		errx(2, "a row of %s is 1 to %d words", kind, WORDS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
		if (strcmp(kind, kind_names[i]) == 0) {
			row->kind = (enum kind)i;
			return;
		}
	errx(2, "'%s' is no kind of row", kind);
}

static int64_t number(const char *text, int64_t max)
{
	int64_t n;

	if (num_parse(text, max, &n) < 0)
		errx(2, "'%s' is no number up to %lld", text, (long long)max);
	return n;
}

static void parse(struct bench *bench, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "tenant", required_argument, NULL, 't' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 'd' },
		{ "gap", required_argument, NULL, 'g' },
		{ "flights", required_argument, NULL, 'f' },
		{ "slice", required_argument, NULL, 'l' },
		{ "has-no-init", no_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		switch (c) {
		case 's':
			bench->socket = optarg;
			break;
		case 't':
			bench->tenant = optarg;
			break;
		case 'r':
			bench->rounds = number(optarg, ROUNDS_MAX);
			break;
		case 'd':
			bench->seed = number(optarg, INT64_MAX);
			break;
		case 'g':
			bench->gap_usec = number(optarg, USEC_MAX);
			break;
		case 'f':
			bench->flights = number(optarg, FLIGHTS_MAX);
			break;
		case 'l':
			bench->slice_usec = number(optarg, USEC_MAX);
			break;
		case 'n':
			exit(HAS_NO_INIT ? 0 : 1);
		default:
			errx(2, "see the head of core.c");
		}
	}
	for (; optind < argc; optind++)
		row_add(bench, argv[optind]);
}

static void prepare(struct bench *bench)
{
	struct tn_error error = { 0 };

	bench->random = (uint64_t)bench->seed * 2 + 1;
	bench->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (bench->null_fd < 0)
		err(1, "/dev/null");
	/* Standard error stays: what fails says why. */
	if (posix_spawn_file_actions_init(&bench->quiet) != 0 ||
	    posix_spawn_file_actions_adddup2(&bench->quiet, bench->null_fd, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(&bench->quiet, bench->null_fd, 1) != 0)
		errx(1, "file actions");
	if (bench->socket != NULL && tn_client_open(bench->socket, &bench->client, &error) < 0)
		errx(1, "%s", error.msg);
	for (size_t i = 0; i < bench->rows_n; i++)
		if (bench->rows[i].kind != KIND_EXEC &&
		    (bench->client == NULL || bench->tenant == NULL))
			errx(2, "a row of kind %s needs --socket and --tenant",
			     kind_names[bench->rows[i].kind]);
}

int main(int argc, char **argv)
{
	static struct bench bench = { .rounds = 1, .seed = 1 };

	parse(&bench, argc, argv);
	prepare(&bench);
	if (bench.flights > 0)
		time_flights(&bench);
	else
		time_rounds(&bench);
	tn_client_free(bench.client);
	return fflush(stdout) != 0;
}
