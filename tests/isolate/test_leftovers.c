/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What could not be removed goes when it can be, without anybody asking for it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/execution_state.h>
#include <isolate/leftovers.h>
#include <isolate/slots.h>
#include <isolate/storage.h>

#include "rig.h"

#define NAME   "0a000000-0000-4000-8000-00000000000a"
#define STATUS NAME ".status"

static struct loop loop;
static struct tenants tenants;
static struct executions all;
static struct loop_source stop;
static struct id id;

static void on_stop(void *context, uint32_t events)
{
	(void)context;
	(void)events;
	loop.done = true;
}

static void set_up(void)
{
	struct tn_error err = { 0 };

	rig_dir_make();
	rig_need_root();
	cr_assert_eq(id_parse(NAME, &id), 0);
	cr_assert_eq(loop_init(&loop, &err), 0, "%s", err.msg);
	all.loop = &loop;
	all.tenants = &tenants;
	all.dir_fd = open(rig_dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(all.dir_fd, 0);
	cr_assert_eq(leftovers_start(&all, &err), 0, "%s", err.msg);
	stop = (struct loop_source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), on_stop,
		                     NULL };
	cr_assert_eq(loop_add(&loop, &stop, EPOLLIN, &err), 0, "%s", err.msg);
}

static void tear_down(void)
{
	leftovers_stop(&all);
	loop_remove(&loop, &stop);
	fd_closep(&stop.fd);
	fd_closep(&all.dir_fd);
	loop_done(&loop);
	rig_dir_remove();
}

TestSuite(leftovers, .timeout = 30, .init = set_up, .fini = tear_down);

static void run(long msec)
{
	const struct itimerspec when = { .it_value = { msec / 1000, msec % 1000 * 1000000 } };
	struct tn_error err = { 0 };

	cr_assert_eq(timerfd_settime(stop.fd, 0, &when, NULL), 0);
	loop.done = false;
	cr_assert_eq(loop_run(&loop, &err), 0, "%s", err.msg);
}

static void run_until_gone(const char *path)
{
	for (int i = 0; i < 200 && rig_exists(path); i++)
		run(100);
	cr_expect_not(rig_exists(path));
}

/* unlink(2) does not take it. */
static void directory_instead(const char *name)
{
	cr_assert_eq(mkdir(rig_path(name), 0700), 0);
}

static void file_instead(const char *name)
{
	cr_assert_eq(rmdir(rig_path(name)), 0);
	rig_put(name, "record", 0600);
}

Test(leftovers, of_a_record_go_when_they_can)
{
	directory_instead(STATUS);
	rig_put(NAME, "record", 0600);
	leftovers_record_remove(&all, &id);
	cr_expect_not(rig_exists(NAME));
	cr_expect(rig_exists(STATUS));
	file_instead(STATUS);
	run_until_gone(STATUS);
	cr_expect_eq(all.leftovers.records_n, 0);
}

Test(leftovers, are_none_any_more_when_the_id_is_used_again)
{
	struct execution *e;

	directory_instead(NAME);
	leftovers_record_remove(&all, &id);
	file_instead(NAME);
	e = execution_new(&all, &id);
	cr_assert_not_null(e);
	id_table_add(&all.table, &e->node);
	for (int i = 0; i < 100 && all.leftovers.records_n > 0; i++)
		run(100);
	cr_expect_eq(all.leftovers.records_n, 0);
	cr_expect(rig_exists(NAME), "it is another one's");
	execution_free(e);
}

Test(leftovers, beyond_what_is_remembered_are_the_next_starts)
{
	directory_instead(NAME);
	for (int i = 0; i < LEFTOVERS_MAX + 5; i++)
		leftovers_record_remove(&all, &id);
	cr_expect_eq(all.leftovers.records_n, LEFTOVERS_MAX);
	file_instead(NAME);
	run_until_gone(NAME);
	cr_expect_eq(all.leftovers.records_n, 0);
}

Test(leftovers, of_a_deleted_tenant_go_when_they_can)
{
	struct tn_error err = { 0 };
	struct slots *slots = NULL;
	struct id found;
	int64_t slot;

	cr_assert_eq(slots_open(rig_path("slots"), 4, &slots, &err), 0, "%s", err.msg);
	tenants.remover = (struct remover){ .loop = &loop,
		                            .slots = slots,
		                            .storage_root = rig_dir.path,
		                            .tried = leftovers_stored,
		                            .context = &all,
		                            .source.fd = FD_NONE };
	slot = slots_take(slots, &id, "acme", &err);
	cr_assert_geq(slot, 0);
	cr_assert_eq(slots_retire(slots, slot, &err), 0, "%s", err.msg);
	/* No directory, so that the tenant's in it can neither be removed nor be missing. */
	rig_put(".deleted", "", 0600);
	remover_wake(&tenants.remover);
	run(500);
	cr_expect_eq(tenants.remover.pid, 0, "it has been tried");
	cr_expect_eq(slots_retired(slots, 0, &found), slot);
	cr_assert_eq(unlink(rig_path(".deleted")), 0);
	for (int i = 0; i < 200 && slots_retired(slots, 0, &found) >= 0; i++)
		run(100);
	cr_expect_lt(slots_retired(slots, 0, &found), 0, "its ids are free");
	cr_expect_eq(all.leftovers.pause_sec, 0, "the next one begins anew");
	remover_stop(&tenants.remover);
	(void)slots_close(slots);
}
