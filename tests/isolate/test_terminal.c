/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/terminal.c: a pair of /dev/pts, and what of what a child sends is taken for one. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <isolate/terminal.h>

#include "rig.h"

TestSuite(terminal, .timeout = 20);

static void sockets(int ends[2])
{
	cr_assert_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static void open_pair(int *master, int *slave)
{
	rig_need(access("/dev/pts/ptmx", R_OK | W_OK) == 0,
	         "/dev/pts/ptmx cannot be used here");
	cr_assert_eq(terminal_open(24, 80, master, slave), 0, "%s", strerror(errno));
}

Test(terminal, has_the_size_asked_for_and_belongs_to_who_opened_it)
{
	struct winsize size = { 0 };
	struct termios modes;
	int master, slave;
	struct stat st;

	open_pair(&master, &slave);
	cr_assert_eq(ioctl(slave, TIOCGWINSZ, &size), 0);
	cr_expect_eq(size.ws_row, 24);
	cr_expect_eq(size.ws_col, 80);
	cr_assert_eq(tcgetattr(slave, &modes), 0);
	cr_expect_neq(modes.c_iflag & IUTF8, 0u, "an erased character is a whole one");
	cr_assert_eq(fstat(slave, &st), 0);
	cr_expect_eq(st.st_uid, geteuid());
	cr_expect_eq(fcntl(master, F_GETFD), FD_CLOEXEC);
	cr_expect_eq(fcntl(slave, F_GETFD), FD_CLOEXEC);
	(void)close(master);
	(void)close(slave);
}

Test(terminal, can_be_the_controlling_one_of_a_new_session)
{
	int master, slave, status = 0;
	pid_t pid;

	open_pair(&master, &slave);
	pid = fork();
	if (pid == 0) {
		if (setsid() < 0 || open("/dev/tty", O_RDWR) >= 0 ||
		    ioctl(slave, TIOCSCTTY, 0) < 0)
			_exit(1);
		_exit(tcgetsid(slave) == getpid() && open("/dev/tty", O_RDWR) >= 0 ? 0 : 2);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	(void)close(master);
	(void)close(slave);
}

Test(terminal, travels_as_its_master)
{
	struct tn_error err = { 0 };
	int ends[2], master, slave, got = FD_NONE;
	char text[8] = "";

	open_pair(&master, &slave);
	sockets(ends);
	cr_assert_eq(terminal_send(ends[1], master), 0);
	(void)close(master);
	(void)close(ends[1]);
	cr_assert_eq(terminal_receive(ends[0], &got, &err), 0, "%s", err.msg);
	cr_expect_eq(fcntl(got, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(write(slave, "hi", 2), 2);
	cr_expect_eq(read(got, text, sizeof(text)), 2);
	cr_expect_str_eq(text, "hi");
	(void)close(got);
	(void)close(slave);
	(void)close(ends[0]);
}

/* What a sandbox would send to have something else handed out in its terminal's place. */
static void refused(int fd, const char *what)
{
	struct tn_error err = { 0 };
	int ends[2], got = FD_NONE;

	cr_assert_geq(fd, 0, "%s: %s", what, strerror(errno));
	sockets(ends);
	cr_assert_eq(terminal_send(ends[1], fd), 0);
	cr_expect_eq(terminal_receive(ends[0], &got, &err), -EPROTO, "%s was taken", what);
	cr_expect_str_eq(err.msg, "what came is no terminal's master");
	cr_expect_eq(got, FD_NONE);
	(void)close(fd);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

Test(terminal, is_nothing_else)
{
	int master, slave, ends[2];

	open_pair(&master, &slave);
	refused(slave, "the slave");
	refused(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	refused(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "a directory");
	refused(open("/dev/pts/ptmx", O_PATH | O_CLOEXEC), "a path to the master");
	refused(open("/dev/ptmx", O_PATH | O_CLOEXEC), "a path to another one's");
	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	refused(ends[0], "a pipe");
	(void)close(ends[1]);
	(void)close(master);
}

Test(terminal, is_not_waited_for)
{
	struct tn_error err = { 0 };
	int ends[2], two[2] = { STDIN_FILENO, STDOUT_FILENO }, got = FD_NONE;

	sockets(ends);
	cr_expect_eq(terminal_receive(ends[0], &got, &err), -EAGAIN, "nothing is there yet");
	cr_assert_eq(fdpass_send(ends[1], "x", 1, NULL, 0, &err), 0);
	cr_expect_eq(terminal_receive(ends[0], &got, &err), -EPROTO, "no descriptor came");
	cr_assert_eq(fdpass_send(ends[1], "x", 1, two, 2, &err), 0);
	cr_expect_eq(terminal_receive(ends[0], &got, &err), -EBADMSG, "two came");
	(void)close(ends[1]);
	cr_expect_eq(terminal_receive(ends[0], &got, &err), -EPIPE, "the child has gone");
	cr_expect_eq(got, FD_NONE);
	(void)close(ends[0]);
}
