/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the journal fails, by what its last attempts said: over a store of which each test
 * decides what it takes and when a sync ends.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <runtime/journal.h>

#define TURN_USEC 50000

TestSuite(journal, .timeout = 30);

static int sync_fd, book_r, check_r, sync_r, syncs_n, turned_n, stale_n;
static bool is_stale;

static int fake_book(struct store *store, const struct store_batch *batch, struct tn_error *err)
{
	(void)store;
	(void)batch;
	return book_r < 0 ? err_set(err, TN_SYSTEM, -book_r, "book") : 0;
}

static int fake_sync_begin(struct store *store, struct tn_error *err)
{
	(void)store;
	(void)err;
	syncs_n++;
	return 0;
}

static int fake_sync_fd(struct store *store)
{
	(void)store;
	return sync_fd;
}

static int fake_sync_end(struct store *store, struct tn_error *err)
{
	eventfd_t n;

	(void)store;
	(void)eventfd_read(sync_fd, &n);
	return sync_r < 0 ? err_set(err, TN_SYSTEM, -sync_r, "sync") : 0;
}

static int fake_check(struct store *store, struct tn_error *err)
{
	(void)store;
	return check_r < 0 ? err_set(err, TN_SYSTEM, -check_r, "check") : 0;
}

static bool fake_stale(const struct store *store)
{
	(void)store;
	return is_stale;
}

static void fake_tidy(struct store *store, bool idle)
{
	(void)store;
	(void)idle;
}

static void fake_on_stale(void *userdata)
{
	(void)userdata;
	stale_n++;
}

static void fake_turned(void *userdata)
{
	(void)userdata;
	turned_n++;
}

static const struct store_ops ops = { .book = fake_book,
	                              .sync_begin = fake_sync_begin,
	                              .sync_fd = fake_sync_fd,
	                              .sync_end = fake_sync_end,
	                              .check = fake_check,
	                              .stale = fake_stale,
	                              .tidy = fake_tidy };
static const struct journal_handlers handlers = { .turned = fake_turned,
	                                          .stale = fake_on_stale };
static struct store store = { .ops = &ops };
static struct loop *loop;
static struct journal *journal;

static void set_up(void)
{
	struct tn_error err = { 0 };

	sync_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cr_assert_geq(sync_fd, 0);
	cr_assert_eq(loop_new(&loop, &err), 0, "%s", err.msg);
	cr_assert_eq(journal_new(&journal, loop, &store, &handlers, NULL, &err), 0, "%s",
	             err.msg);
	journal_set_window(journal, 0);
}

static void tear_down(void)
{
	journal = journal_free(journal);
	loop = loop_free(loop);
	(void)close(sync_fd);
}

static void add(void)
{
	struct record record = { .state = RECORD_RUNNING };
	struct tn_error err = { 0 };

	cr_assert_eq(journal_add(journal, &record, &err), 0, "%s", err.msg);
}

static void turn(void)
{
	struct tn_error err = { 0 };

	while (loop_turn(loop, TURN_USEC, &err) > 0)
		;
}

static void end_sync(void)
{
	cr_assert_eq(eventfd_write(sync_fd, 1), 0);
	turn();
}

static const char *why(void)
{
	const char *text = "";

	return journal_failing(journal, &text) ? text : "";
}

Test(journal, goes_on_failing_while_nothing_can_be_booked, .init = set_up, .fini = tear_down)
{
	add();
	turn();
	cr_assert_eq(syncs_n, 1, "one sync is under way");
	book_r = -ENOSPC;
	add();
	turn();
	cr_expect_not_null(strstr(why(), "book"), "'%s'", why());
	end_sync();
	cr_expect_not_null(strstr(why(), "book"), "a sync has ended well, and that is all");
	cr_expect_eq(turned_n, 1, "told once");

	book_r = 0;
	cr_assert_eq(journal_commit(journal, NULL, &(struct tn_error){ 0 }), 0);
	turn();
	cr_expect_eq(syncs_n, 2);
	end_sync();
	cr_expect_str_eq(why(), "", "and it is booked again");
	cr_expect_eq(turned_n, 2);
}

Test(journal, goes_on_failing_while_nothing_can_be_synced, .init = set_up, .fini = tear_down)
{
	add();
	turn();
	sync_r = -EIO;
	end_sync();
	cr_expect_not_null(strstr(why(), "sync"), "'%s'", why());
	cr_expect_gt(journal_lag_usec(journal), 0, "what is not synced waits on");
	cr_assert_eq(journal_commit(journal, NULL, &(struct tn_error){ 0 }), 0);
	cr_expect_not_null(strstr(why(), "sync"), "nothing to book says nothing of the disk");
	cr_expect_eq(turned_n, 1);
}

Test(journal, knows_from_the_beginning_that_the_store_takes_nothing, .init = set_up,
     .fini = tear_down)
{
	journal_try(journal);
	cr_expect_str_eq(why(), "");
	check_r = -EROFS;
	journal_try(journal);
	cr_expect_not_null(strstr(why(), "check"), "'%s'", why());
	cr_expect_eq(turned_n, 1);
}

Test(journal, says_when_only_a_new_opening_helps, .init = set_up, .fini = tear_down)
{
	check_r = -EROFS;
	journal_try(journal);
	for (int i = 0; i < 40 && stale_n == 0; i++) {
		turn();
		is_stale = i > 0;
	}
	cr_expect_eq(stale_n, 1);
	cr_expect_not_null(strstr(why(), "check"), "nothing has been written");
}
