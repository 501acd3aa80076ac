/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <base/fdpass.h>

static int socks[2];

static void socks_make(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), 0);
}

TestSuite(fdpass, .timeout = 20, .init = socks_make);

static size_t open_fds_n(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	cr_assert(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

static void memfds_make(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fds[i] = memfd_create("x", 0);
		cr_assert_geq(fds[i], 0);
	}
}

static bool same_file(int a, int b)
{
	struct stat st_a, st_b;

	return fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

static void send_ok(const void *buf, size_t n, const int *fds, size_t fds_n)
{
	struct tn_error err = { 0 };

	cr_assert_eq(fdpass_send(socks[0], buf, n, fds, fds_n, &err), 0, "%s", err.msg);
}

Test(fdpass, carries_a_message_without_descriptors)
{
	struct tn_error err = { 0 };
	char buf[16] = "";
	size_t fds_n = 99;

	send_ok("hello", 6, NULL, 0);
	cr_expect_eq(fdpass_recv(socks[1], buf, sizeof(buf), NULL, 0, &fds_n, &err), 6);
	cr_expect_str_eq(buf, "hello");
	cr_expect_eq(fds_n, 0);
}

Test(fdpass, carries_as_many_descriptors_as_it_promises_in_order)
{
	struct tn_error err = { 0 };
	int sent[FDPASS_FDS_MAX], got[FDPASS_FDS_MAX];
	size_t fds_n = 0;
	char buf[1];

	memfds_make(sent, FDPASS_FDS_MAX);
	send_ok("x", 1, sent, FDPASS_FDS_MAX);
	cr_assert_eq(fdpass_recv(socks[1], buf, 1, got, FDPASS_FDS_MAX, &fds_n, &err), 1);
	cr_assert_eq(fds_n, FDPASS_FDS_MAX);
	for (size_t i = 0; i < fds_n; i++) {
		cr_expect(same_file(sent[i], got[i]), "descriptor %zu", i);
		cr_expect_neq(sent[i], got[i], "a copy: %zu", i);
		cr_expect_eq(fcntl(got[i], F_GETFD), FD_CLOEXEC, "descriptor %zu", i);
		cr_expect_eq(fcntl(sent[i], F_GETFD), 0, "the sender's are borrowed: %zu", i);
	}
}

Test(fdpass, keeps_messages_apart)
{
	struct tn_error err = { 0 };
	int sent[2], got[FDPASS_FDS_MAX];
	size_t fds_n = 99;
	char buf[8];

	memfds_make(sent, 2);
	send_ok("one", 3, &sent[0], 1);
	send_ok("three", 5, NULL, 0);
	send_ok("to", 2, &sent[1], 1);
	cr_expect_eq(fdpass_recv(socks[1], buf, 8, got, FDPASS_FDS_MAX, &fds_n, &err), 3);
	cr_expect_eq(fds_n, 1);
	cr_expect(same_file(got[0], sent[0]));
	cr_expect_eq(fdpass_recv(socks[1], buf, 8, got, FDPASS_FDS_MAX, &fds_n, &err), 5);
	cr_expect_eq(fds_n, 0);
	cr_expect_eq(fdpass_recv(socks[1], buf, 8, got, FDPASS_FDS_MAX, &fds_n, &err), 2);
	cr_expect_eq(fds_n, 1);
	cr_expect(same_file(got[0], sent[1]));
}

Test(fdpass, refuses_more_descriptors_than_wanted_and_keeps_none)
{
	struct tn_error err = { 0 };
	int sent[FDPASS_FDS_MAX], got[FDPASS_FDS_MAX];
	char buf[1];

	memfds_make(sent, FDPASS_FDS_MAX);
	/* One too many is what the padding of a control message would let in. */
	for (size_t wanted = 0; wanted < FDPASS_FDS_MAX; wanted++) {
		size_t before = open_fds_n(), fds_n = 99;

		send_ok("x", 1, sent, wanted + 1);
		cr_expect_eq(fdpass_recv(socks[1], buf, 1, got, wanted, &fds_n, &err), -EBADMSG,
		             "%zu wanted", wanted);
		cr_expect_eq(err.code, TN_PROTOCOL);
		cr_expect_eq(fds_n, 99, "written only on success");
		cr_expect_eq(open_fds_n(), before, "%zu wanted, one leaked", wanted);
	}
}

Test(fdpass, refuses_a_message_that_does_not_fit_and_keeps_no_descriptor)
{
	struct tn_error err = { 0 };
	int sent[3], got[FDPASS_FDS_MAX];
	size_t fds_n = 99, before;
	char buf[4];

	memfds_make(sent, 3);
	before = open_fds_n();
	send_ok("12345", 5, sent, 3);
	cr_expect_eq(fdpass_recv(socks[1], buf, 4, got, FDPASS_FDS_MAX, &fds_n, &err),
	             -EBADMSG);
	cr_expect_eq(err.code, TN_PROTOCOL);
	cr_expect_eq(open_fds_n(), before);
	/* The one after it is whole again. */
	send_ok("1234", 4, sent, 1);
	cr_expect_eq(fdpass_recv(socks[1], buf, 4, got, FDPASS_FDS_MAX, &fds_n, &err), 4);
	cr_expect_eq(fds_n, 1);
}

Test(fdpass, tells_that_the_peer_has_gone)
{
	struct tn_error err = { 0 };
	size_t fds_n = 99;
	char buf[4];

	(void)close(socks[0]);
	cr_expect_eq(fdpass_recv(socks[1], buf, 4, NULL, 0, &fds_n, &err), -EPIPE);
	cr_expect_eq(err.code, TN_PROTOCOL);
	cr_expect_eq(fdpass_send(socks[1], "x", 1, NULL, 0, &err), -EPIPE);
	cr_expect_eq(err.code, TN_SYSTEM);
}

Test(fdpass, does_not_wait_on_a_non_blocking_socket)
{
	struct tn_error err = { 0 };
	size_t fds_n = 99;
	char buf[4];
	int r = 0;

	cr_assert_eq(fcntl(socks[1], F_SETFL, O_NONBLOCK), 0);
	cr_expect_eq(fdpass_recv(socks[1], buf, 4, NULL, 0, &fds_n, &err), -EAGAIN);
	cr_expect_eq(fds_n, 99);

	cr_assert_eq(fcntl(socks[0], F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 100000 && r == 0; i++)
		r = fdpass_send(socks[0], "x", 1, NULL, 0, &err);
	cr_expect_eq(r, -EAGAIN, "a full socket");
}

Test(fdpass, fails_on_what_is_not_a_socket)
{
	struct tn_error err = { 0 };
	size_t fds_n = 99;
	char buf[4];
	int fd;

	memfds_make(&fd, 1);
	cr_expect_eq(fdpass_recv(fd, buf, 4, NULL, 0, &fds_n, &err), -ENOTSOCK);
	cr_expect_eq(fdpass_send(fd, buf, 4, NULL, 0, &err), -ENOTSOCK);
	cr_expect_eq(err.sys_errno, ENOTSOCK);
}
