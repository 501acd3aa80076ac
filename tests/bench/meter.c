/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-meter DIRECTORY COUNT SECONDS, as root: what it costs to look at so many active tenants
 * once a second and to book it: sampler, journal and store as tenant-controller has them, in a
 * loop of its own, with a cgroup for each tenant below DIRECTORY. In each something runs that
 * wakes once a second, so that its CPU time moves. If DIRECTORY is of no cgroups, each tenant
 * is a directory of ordinary files that say that it has memory, which moves memory_time. One
 * JSON object; times in nanoseconds of CPU time of this process.
 */
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/num.h>

#include "identity.h"
#include "journal.h"
#include "sampler.h"

#define COUNT_MAX   100000
#define SECONDS_MAX 3600
#define ROUNDS      11
#define STACK_BYTES 16384
#define BOOT        "11111111-1111-4111-8111-111111111111"
#define NSEC_PER_S  1000000000
#define FILES_N     3
#define OTHER_FDS   256
#define FLOOR_MAX   6000
#define FLOOR_FDS   ((size_t)FLOOR_MAX * FILES_N)

static const char *const files[FILES_N] = { "cpu.stat", "io.stat", "memory.current" };

static struct bench {
	char dir[40];
	int root_fd;
	size_t count;
	struct tenant *tenants;
	pid_t *pids;
	char *stacks;
	int *fds; /* FILES_N of each, for the floor */
	bool are_cgroups;
	bool books; /* else what is read is thrown away */
	int64_t books_n;
	int64_t rows_n;
	struct loop *loop;
	struct store *store;
	struct journal *journal;
	struct sampler *sampler;
} bench;

static struct tn_error err;

static void require(int r)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench-meter: %s\n", err.msg);
	exit(1);
}

static void require_system(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static int64_t cpu_nsec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_S + ts.tv_nsec;
}

/* Shares our memory, and is no thread of ours: what it uses is its own. */
static int child_main(void *argument)
{
	const struct timespec second = { 1, 0 };

	(void)argument;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL);
	return 0;
}

static void put(int dir_fd, const char *file, const char *text)
{
	cleanup_fd int fd = openat(dir_fd, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	const size_t n = strlen(text);

	require_system(fd >= 0 && write(fd, text, n) == (ssize_t)n, file);
}

static void node_make(size_t i)
{
	const char *name = bench.tenants[i].row.name;
	cleanup_fd int dir_fd = FD_NONE;
	char pid[24];

	require_system(mkdirat(bench.root_fd, name, 0755) == 0, name);
	dir_fd = openat(bench.root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	require_system(dir_fd >= 0, name);
	if (bench.are_cgroups) {
		bench.pids[i] = clone(child_main, bench.stacks + (i + 1) * STACK_BYTES,
		                      CLONE_VM | SIGCHLD, NULL);
		require_system(bench.pids[i] > 0, "clone");
		(void)snprintf(pid, sizeof(pid), "%d", bench.pids[i]);
		put(dir_fd, "cgroup.procs", pid);
	} else {
		put(dir_fd, "cpu.stat",
		    "usage_usec 123456789\nuser_usec 100000000\nsystem_usec 23456789\n"
		    "nice_usec 0\nnr_periods 10\nnr_throttled 2\nthrottled_usec 3456\n");
		put(dir_fd, "io.stat", "8:0 rbytes=1000 wbytes=2000 rios=1 wios=2 dbytes=0\n");
		put(dir_fd, "memory.current", "123456789\n");
	}
	for (size_t k = 0; k < FILES_N; k++)
		bench.fds[i * FILES_N + k] = i < FLOOR_MAX ? openat(dir_fd, files[k],
		                                                    O_RDONLY | O_CLOEXEC)
		                                           : FD_NONE;
}

static void node_end(size_t i)
{
	const char *name = bench.tenants[i].row.name;
	char path[NAME_BYTES_MAX + 32];

	if (bench.are_cgroups) {
		(void)kill(bench.pids[i], SIGKILL);
		(void)waitpid(bench.pids[i], NULL, 0);
	} else {
		for (size_t k = 0; k < FILES_N; k++) {
			(void)snprintf(path, sizeof(path), "%s/%s", name, files[k]);
			(void)unlinkat(bench.root_fd, path, 0);
		}
	}
	require_system(unlinkat(bench.root_fd, name, AT_REMOVEDIR) == 0, name);
}

static int on_book(void *userdata, const struct ledger_sample *samples, size_t n,
                   struct tn_error *why)
{
	(void)userdata;
	bench.books_n++;
	bench.rows_n += (int64_t)n;
	return bench.books ? journal_looks(bench.journal, samples, n, why) : 0;
}

static void on_booked(void *userdata, const struct ledger_sample *sample)
{
	(void)userdata;
	sampler_booked(bench.sampler, sample);
}

static const struct journal_handlers handlers = { .booked = on_booked };

/* As many as may be, from now on. */
static rlim_t descriptors(void)
{
	struct rlimit limit;

	require_system(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	require_system(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
	return limit.rlim_cur;
}

static void world_make(void)
{
	(void)descriptors();
	(void)snprintf(bench.dir, sizeof(bench.dir), "%s", "/var/tmp/tenantd-bench-XXXXXX");
	require_system(mkdtemp(bench.dir) != NULL, "mkdtemp");
	require(loop_new(&bench.loop, &err));
	require(store_sqlite_open(bench.dir, &bench.store, &err));
	require(journal_new(&bench.journal, bench.loop, bench.store, &handlers, NULL, &err));
	bench.tenants = calloc(bench.count, sizeof(*bench.tenants));
	bench.pids = calloc(bench.count, sizeof(*bench.pids));
	bench.fds = calloc(bench.count * FILES_N, sizeof(*bench.fds));
	bench.stacks = mmap(NULL, bench.count * STACK_BYTES, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require_system(bench.tenants != NULL && bench.pids != NULL && bench.fds != NULL &&
	                       bench.stacks != MAP_FAILED,
	               "allocate");
	bench.are_cgroups = faccessat(bench.root_fd, "cgroup.procs", F_OK, 0) == 0;
	for (size_t i = 0; i < bench.count; i++) {
		struct tenant_row *row = &bench.tenants[i].row;

		*row = (struct tenant_row){ .id = identity_new(),
			                    .status = TENANT_ACTIVE,
			                    .billing_anchor_day = 1,
			                    .version = 1 };
		(void)snprintf(row->name, sizeof(row->name), "t%zu", i);
		row->metadata = strdup("{}");
		require(bench.store->ops->tenant_insert(bench.store, row, &err));
		node_make(i);
	}
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void world_end(void)
{
	for (size_t i = 0; i < bench.count; i++)
		node_end(i);
	bench.sampler = sampler_free(bench.sampler);
	bench.journal = journal_free(bench.journal);
	bench.store->ops->close(bench.store);
	bench.loop = loop_free(bench.loop);
	(void)nftw(bench.dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int compare(const void *a, const void *b)
{
	int64_t left, right;

	memcpy(&left, a, sizeof(left));
	memcpy(&right, b, sizeof(right));
	return (left > right) - (left < right);
}

/* Of what is done to all tenants, per tenant, the median of some rounds. */
static int64_t median_of(void (*round)(void))
{
	int64_t costs[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		const int64_t begun = cpu_nsec();

		round();
		costs[i] = cpu_nsec() - begun;
	}
	qsort(costs, ROUNDS, sizeof(*costs), compare);
	return costs[ROUNDS / 2] / (bench.count > 0 ? (int64_t)bench.count : 1);
}

/* What cannot be less: the same files, with nothing made of them. */
static void floor_round(void)
{
	char content[8192];

	/* Of some of them as often as of all: this host may not let all be open. */
	for (size_t i = 0; i < bench.count * FILES_N; i++)
		if (bench.fds[i % FLOOR_FDS] >= 0)
			require_system(pread(bench.fds[i % FLOOR_FDS], content, sizeof(content),
			                     0) >= 0,
			               "pread");
}

static void read_round(void)
{
	sampler_turn(bench.sampler, true);
}

static void memory_round(void)
{
	sampler_turn(bench.sampler, false);
}

/* Of whom the files stay open: of all, unless this host grants fewer. Those of the floor are
 * closed by now. */
static size_t kept_max(void)
{
	const rlim_t fds = descriptors();
	size_t present = 0;

	for (size_t k = 0; k < FILES_N; k++)
		present += bench.fds[k] >= 0;
	return (fds - OTHER_FDS) / (present > 0 ? present : 1);
}

static void floor_end(void)
{
	for (size_t i = 0; i < bench.count * FILES_N; i++)
		fd_closep(&bench.fds[i]);
}

static void sampler_begin(size_t kept)
{
	const struct id execution = identity_new();

	require(sampler_new(&bench.sampler,
	                    &(struct sampler_config){ .loop = bench.loop,
	                                              .root_fd = &bench.root_fd,
	                                              .boot_id = BOOT,
	                                              .book = on_book,
	                                              .kept_max = kept },
	                    &err));
	for (size_t i = 0; i < bench.count; i++) {
		bench.tenants[i].executions_n = 1;
		sampler_on_started(bench.sampler, &bench.tenants[i], &execution);
	}
}

/* As it goes: the timer's turns, commits and syncs. */
static int64_t run(int64_t seconds)
{
	const int64_t until = clock_usec(CLOCK_MONOTONIC) + seconds * CLOCK_USEC_PER_SEC;
	const int64_t begun = cpu_nsec();

	while (clock_usec(CLOCK_MONOTONIC) < until)
		require(loop_turn(bench.loop, CLOCK_USEC_PER_SEC / 10, &err));
	return cpu_nsec() - begun;
}

int main(int argc, char **argv)
{
	size_t kept;
	int64_t count, seconds, floor_nsec, read_nsec, memory_nsec, book_nsec, run_nsec;

	if (argc != 4 || num_parse(argv[2], COUNT_MAX, &count) < 0 || count == 0 ||
	    num_parse(argv[3], SECONDS_MAX, &seconds) < 0 || seconds == 0) {
		(void)fputs("usage: bench-meter DIRECTORY COUNT SECONDS\n", stderr);
		return 2;
	}
	bench.root_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	require_system(bench.root_fd >= 0, argv[1]);
	bench.count = (size_t)count;
	world_make();
	floor_nsec = median_of(floor_round);
	kept = kept_max();
	floor_end();
	sampler_begin(kept);
	read_nsec = median_of(read_round);
	memory_nsec = median_of(memory_round);
	bench.books = true;
	(void)run(2);
	book_nsec = median_of(read_round);
	bench.books_n = bench.rows_n = 0;
	run_nsec = run(seconds);
	(void)printf("{\"tenants\": %lld, \"cgroups\": %s, \"kept\": %zu, \"seconds\": %lld, "
	             "\"floor_nsec\": %lld, \"read_nsec\": %lld, \"memory_nsec\": %lld, "
	             "\"book_nsec\": %lld, \"run_nsec\": %lld, \"transactions\": %lld, "
	             "\"readings\": %lld}\n",
	             (long long)count, bench.are_cgroups ? "true" : "false",
	             sampler_kept(bench.sampler), (long long)seconds, (long long)floor_nsec,
	             (long long)read_nsec, (long long)memory_nsec, (long long)book_nsec,
	             (long long)run_nsec, (long long)bench.books_n, (long long)bench.rows_n);
	world_end();
	return 0;
}
