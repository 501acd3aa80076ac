/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include <base/fd.h>
#include <base/fdpass.h>

/* Of the kernel's devices.txt: what every master of a pty is opened through. */
#define PTMX_MAJOR 5
#define PTMX_MINOR 2

/* The sandbox speaks UTF-8 (LANG): then erasing takes a whole character away. */
static int utf8_set(int slave)
{
	struct termios modes;

	if (tcgetattr(slave, &modes) < 0)
		return -1;
	modes.c_iflag |= IUTF8;
	return tcsetattr(slave, TCSANOW, &modes);
}

int terminal_open(uint32_t rows, uint32_t cols, int *ret_master, int *ret_slave)
{
	const struct winsize size = { .ws_row = (unsigned short)rows,
		                      .ws_col = (unsigned short)cols };
	cleanup_fd int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	cleanup_fd int slave = FD_NONE;
	int locked = 0;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &locked) < 0)
		return -1;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(slave, TIOCSWINSZ, &size) < 0 || utf8_set(slave) < 0)
		return -1;
	*ret_master = fd_take(&master);
	*ret_slave = fd_take(&slave);
	return 0;
}

int terminal_send(int sock, int master)
{
	struct tn_error err = { 0 };
	int r = fdpass_send(sock, "", 1, &master, 1, &err);

	errno = -r;
	return r < 0 ? -1 : 0;
}

/* An O_PATH descriptor of /dev/ptmx has the number, but no terminal behind it. */
static bool is_master(int fd)
{
	struct stat st;
	unsigned int number;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(PTMX_MAJOR, PTMX_MINOR) &&
	       ioctl(fd, TIOCGPTN, &number) == 0;
}

int terminal_receive(int sock, int *ret_master, struct tn_error *err)
{
	cleanup_fd int fd = FD_NONE;
	size_t fds_n = 0;
	char nothing;
	int r = fdpass_recv(sock, &nothing, sizeof(nothing), &fd, 1, &fds_n, err);

	if (r < 0)
		return err_wrap(err, r, "the sandbox's terminal");
	if (fds_n != 1 || !is_master(fd))
		return err_refuse(err, TN_PROTOCOL, "what came is no terminal's master");
	*ret_master = fd_take(&fd);
	return 0;
}
