/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runtime/logs/ring.c: what is kept of an output, and what a reader sees of it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <logs/ring.h>

#define BOUND  RING_BYTES_MIN
#define PIECES 40

static struct ring ring;
static struct ring_piece piece;
static int fd;

static void make(void)
{
	const struct ring_about about = { .bytes_max = BOUND, .tenant_name = "acme" };
	struct tn_error err = { 0 };

	fd = memfd_create("log", MFD_CLOEXEC);
	cr_assert_eq(ring_create(fd, &about, &err), 0, "%s", err.msg);
	cr_assert_eq(ring_open(&ring, fd, &err), 0, "%s", err.msg);
}

static void drop(void)
{
	(void)close(fd);
}

TestSuite(ring, .timeout = 20, .init = make, .fini = drop);

static int add(enum ring_stream stream, int64_t at, const char *bytes, size_t n)
{
	struct tn_error err = { 0 };

	return ring_add(&ring, stream, at, bytes, n, &err);
}

static int next(struct ring_reader *reader, bool *ended)
{
	struct tn_error err = { 0 };
	int r = ring_read(fd, reader, &piece, ended, &err);

	cr_assert_geq(r, 0, "%s", err.msg);
	return r;
}

Test(ring, gives_back_what_was_added_with_its_stream_and_time)
{
	struct ring_reader reader = { 0 };
	struct tn_error err = { 0 };
	bool ended = true;

	cr_expect_eq(next(&reader, &ended), 0);
	cr_expect_not(ended);
	cr_assert_eq(add(RING_STDOUT, 5, "one", 3), 0);
	cr_assert_eq(add(RING_STDERR, 6, "tw\0", 3), 0);
	cr_assert_eq(next(&reader, &ended), 1);
	cr_expect(piece.unix_usec == 5 && piece.stream == RING_STDOUT && piece.n == 3);
	cr_expect_arr_eq(piece.bytes, "one", 3);
	cr_assert_eq(next(&reader, &ended), 1);
	cr_expect(piece.unix_usec == 6 && piece.stream == RING_STDERR && piece.n == 3);
	cr_expect_arr_eq(piece.bytes, "tw\0", 3);
	cr_expect_eq(next(&reader, &ended), 0);
	cr_expect_not(ended);
	cr_assert_eq(ring_finish(&ring, &err), 0);
	cr_expect_eq(next(&reader, &ended), 0);
	cr_expect(ended);
	cr_expect_eq(reader.missed, 0);
}

/* A piece of the largest size, all of one letter. */
static void add_large(int i)
{
	static char bytes[RING_PIECE_BYTES_MAX];

	memset(bytes, 'a' + i % 26, sizeof(bytes));
	cr_assert_eq(add(RING_STDOUT, i, bytes, sizeof(bytes)), 0);
	cr_expect_leq(ring.state.end - ring.state.first, BOUND);
}

Test(ring, keeps_the_last_of_it_and_counts_what_has_gone)
{
	struct ring_reader reader = { 0 };
	struct stat st;
	int64_t kept = 0;
	bool ended;
	int last = -1;

	for (int i = 0; i < PIECES; i++)
		add_large(i);
	while (next(&reader, &ended) == 1) {
		cr_expect_eq(piece.n, RING_PIECE_BYTES_MAX);
		cr_expect_eq(piece.bytes[0], 'a' + piece.unix_usec % 26);
		cr_expect(last < 0 || piece.unix_usec == last + 1);
		last = (int)piece.unix_usec;
		kept += (int64_t)piece.n;
	}
	cr_expect_eq(last, PIECES - 1);
	cr_expect_geq(kept, BOUND / 2);
	cr_expect_eq(ring.state.rotated_bytes, (int64_t)PIECES * RING_PIECE_BYTES_MAX - kept);
	cr_expect_gt(ring.state.rotations, 0);
	/* What is kept, the header, and the blocks at the ends of the hole. */
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_leq((int64_t)st.st_blocks * 512, BOUND + 3 * 4096);
	cr_expect_eq(reader.missed, 0, "who begins late has missed nothing");
}

Test(ring, takes_a_reader_that_is_too_slow_to_what_is_left)
{
	struct ring_reader reader = { 0 };
	bool ended;

	add_large(0);
	cr_assert_eq(next(&reader, &ended), 1);
	for (int i = 1; i < PIECES; i++)
		add_large(i);
	cr_assert_eq(next(&reader, &ended), 1);
	cr_expect_gt(piece.unix_usec, PIECES / 2);
	cr_expect_eq(piece.bytes[0], 'a' + piece.unix_usec % 26);
	cr_expect_gt(reader.missed, 0);
	cr_expect_leq(reader.missed, (int64_t)PIECES * (RING_PIECE_BYTES_MAX + 64));
}

/* As a file system that is full, and then is not. */
static void room_set(rlim_t bytes)
{
	const struct rlimit limit = { bytes, RLIM_INFINITY };

	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(ring, counts_what_the_file_system_does_not_take_and_says_so_once_it_does)
{
	struct ring_reader reader = { 0 };
	bool ended;

	cr_assert_eq(add(RING_STDOUT, 1, "kept", 4), 0);
	room_set((rlim_t)ring.state.end + 10);
	cr_expect_lt(add(RING_STDOUT, 2, "one that is lost", 16), 0);
	cr_expect_lt(add(RING_STDERR, 3, "another that is", 15), 0);
	room_set(RLIM_INFINITY);
	cr_assert_eq(add(RING_STDOUT, 4, "again", 5), 0);
	cr_expect_eq(ring.state.lost_bytes, 31);
	cr_assert_eq(next(&reader, &ended), 1);
	cr_expect_arr_eq(piece.bytes, "kept", 4);
	cr_assert_eq(next(&reader, &ended), 1);
	cr_expect_eq(piece.stream, RING_LOST);
	cr_expect_eq(piece.lost, 31);
	cr_assert_eq(next(&reader, &ended), 1);
	cr_expect_arr_eq(piece.bytes, "again", 5);
}

Test(ring, goes_on_where_a_writer_before_it_was)
{
	struct ring_reader reader = { 0 };
	struct tn_error err = { 0 };
	bool ended;

	cr_assert_eq(add(RING_STDOUT, 1, "first", 5), 0);
	/* Killed between the piece and the header: it was not written. */
	cr_assert_eq(pwrite(fd, "rest", 4, ring.state.end), 4);
	ring = (struct ring){ 0 };
	cr_assert_eq(ring_open(&ring, fd, &err), 0);
	cr_expect_str_eq(ring.about.tenant_name, "acme");
	cr_assert_eq(add(RING_STDOUT, 2, "second", 6), 0);
	cr_assert_eq(next(&reader, &ended), 1);
	cr_expect_arr_eq(piece.bytes, "first", 5);
	cr_assert_eq(next(&reader, &ended), 1);
	cr_expect_arr_eq(piece.bytes, "second", 6);
	cr_expect_eq(next(&reader, &ended), 0);
}

Test(ring, goes_on_with_what_comes_if_the_oldest_are_damaged)
{
	struct ring_reader reader = { 0 };
	const uint32_t large = RING_PIECE_BYTES_MAX + 1;
	bool ended;
	int i = 0;

	add_large(i++);
	cr_assert_eq(pwrite(fd, &large, sizeof(large), ring.state.first + 8), sizeof(large));
	for (; i < PIECES; i++)
		add_large(i);
	cr_expect_eq(ring.state.lost_bytes, 0, "all of it was written");
	while (next(&reader, &ended) == 1)
		cr_expect_eq(piece.bytes[0], 'a' + piece.unix_usec % 26);
	cr_expect_eq(piece.unix_usec, PIECES - 1);
}

Test(ring, refuses_what_is_none_and_what_is_damaged)
{
	struct ring_reader reader = { 0 };
	struct tn_error err = { 0 };
	const uint32_t large = RING_PIECE_BYTES_MAX + 1;
	bool ended;
	int other = memfd_create("other", MFD_CLOEXEC);

	cr_expect_eq(ring_open(&ring, other, &err), -EBADMSG);
	cr_assert_eq(write(other, "not a log, but long enough to be one of them", 44), 44);
	cr_assert_eq(ftruncate(other, 8192), 0);
	cr_expect_eq(ring_open(&ring, other, &err), -EBADMSG);
	(void)close(other);

	cr_assert_eq(ring_open(&ring, fd, &err), 0);
	cr_assert_eq(add(RING_STDOUT, 1, "first", 5), 0);
	cr_assert_eq(pwrite(fd, &large, sizeof(large), ring.state.first + 8), sizeof(large));
	cr_expect_eq(ring_read(fd, &reader, &piece, &ended, &err), -EBADMSG);
}
