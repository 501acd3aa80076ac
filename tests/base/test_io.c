/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <base/io.h>

TestSuite(io, .timeout = 30);

#define STREAM_BYTES (512 * 1024)

static void tick(int signal)
{
	(void)signal;
}

/* Interrupt every slow system call of this process from now on, without SA_RESTART. */
static void interruptions_start(void)
{
	const struct sigaction action = { .sa_handler = tick };
	const struct itimerval often = { { 0, 3000 }, { 0, 3000 } };

	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 31 + i / 251);
}

/* Drains slowly; exits with 0 if the stream is what byte_at() says. */
static int slow_reader(int fd)
{
	unsigned char block[4096];
	size_t got = 0;
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (block[i] != byte_at(got + (size_t)i))
				return 1;
		got += (size_t)n;
		(void)usleep(1000);
	}
	return got == STREAM_BYTES ? 0 : 2;
}

Test(io, writes_all_though_signals_interrupt_and_the_reader_is_slow)
{
	int ends[2], status = -1;
	unsigned char *data = malloc(STREAM_BYTES);
	pid_t pid;

	cr_assert(data != NULL);
	for (size_t i = 0; i < STREAM_BYTES; i++)
		data[i] = byte_at(i);
	cr_assert_eq(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(ends[1]);
		_exit(slow_reader(ends[0]));
	}
	(void)close(ends[0]);
	interruptions_start();
	cr_expect_eq(io_write_all(ends[1], data, STREAM_BYTES), 0);
	(void)close(ends[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	cr_expect_eq(status, 0);
	free(data);
}

Test(io, reads_all_of_what_comes_in_pieces)
{
	int ends[2];
	char text[16] = "";
	pid_t pid;

	cr_assert_eq(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		for (const char *p = "in pieces"; *p != '\0'; p++) {
			(void)!write(ends[1], p, 1);
			(void)usleep(5000);
		}
		_exit(0);
	}
	(void)close(ends[1]);
	interruptions_start();
	cr_expect_eq(io_read_all(ends[0], text, 3), 3, "no more than asked for");
	cr_expect_str_eq(text, "in ");
	cr_expect_eq(io_read_all(ends[0], text, sizeof(text)), 6, "up to the end");
	cr_expect_eq(memcmp(text, "pieces", 6), 0);
	cr_expect_eq(io_read_all(ends[0], text, sizeof(text)), 0);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

Test(io, returns_the_errno_of_what_fails)
{
	char text[4];
	int ends[2];

	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	cr_expect_eq(io_read_all(ends[0], text, sizeof(text)), -EAGAIN);
	cr_expect_eq(io_read_all(FD_NONE, text, sizeof(text)), -EBADF);
	cr_expect_eq(io_write_all(FD_NONE, "x", 1), -EBADF);
	cr_expect_eq(io_write_all(FD_NONE, "x", 0), 0, "nothing is always written");
	(void)signal(SIGPIPE, SIG_IGN);
	(void)close(ends[0]);
	cr_expect_eq(io_write_all(ends[1], "x", 1), -EPIPE);
}

/* A fresh directory as working directory; removed by the suite's end. */
static char dir[] = "/tmp/tn-io-XXXXXX";
static int dir_fd = FD_NONE;

static void dir_make(void)
{
	cr_assert(mkdtemp(dir) != NULL);
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(dir_fd, 0);
}

static void dir_remove(void)
{
	(void)unlinkat(dir_fd, "file", 0);
	(void)unlinkat(dir_fd, "link", 0);
	(void)close(dir_fd);
	(void)rmdir(dir);
}

TestSuite(io_file, .timeout = 30, .init = dir_make, .fini = dir_remove);

static void file_put(const char *text)
{
	cleanup_fd int fd = openat(dir_fd, "file", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

Test(io_file, reads_a_file_that_fits_with_its_nul_and_no_longer_one)
{
	char text[8];

	memset(text, 'x', sizeof(text));
	file_put("");
	cr_expect_eq(io_read_file_at(dir_fd, "file", text, sizeof(text)), 0);
	cr_expect_str_eq(text, "");
	file_put("1234567");
	cr_expect_eq(io_read_file_at(dir_fd, "file", text, sizeof(text)), 7);
	cr_expect_str_eq(text, "1234567");
	file_put("12345678");
	cr_expect_eq(io_read_file_at(dir_fd, "file", text, sizeof(text)), -EFBIG);
	cr_expect_eq(io_read_file_at(dir_fd, "none", text, sizeof(text)), -ENOENT);
	cr_expect_eq(io_read_file_at(dir_fd, ".", text, sizeof(text)), -EISDIR);
}

Test(io_file, writes_only_what_exists)
{
	char text[8];

	cr_expect_eq(io_write_file_at(dir_fd, "file", "1"), -ENOENT);
	cr_expect_neq(faccessat(dir_fd, "file", F_OK, 0), 0, "it must not be created");
	file_put("");
	cr_expect_eq(io_write_file_at(dir_fd, "file", "max"), 0);
	cr_expect_eq(io_read_file_at(dir_fd, "file", text, sizeof(text)), 3);
	cr_expect_str_eq(text, "max");
}

Test(io_file, follows_no_link)
{
	char text[8];

	file_put("kept");
	cr_assert_eq(symlinkat("file", dir_fd, "link"), 0);
	cr_expect_eq(io_read_file_at(dir_fd, "link", text, sizeof(text)), -ELOOP);
	cr_expect_eq(io_write_file_at(dir_fd, "link", "lost"), -ELOOP);
	cr_expect_eq(io_read_file_at(dir_fd, "file", text, sizeof(text)), 4);
	cr_expect_str_eq(text, "kept");
}

TestSuite(fd, .timeout = 20);

Test(fd, is_closed_once_and_forgotten)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	int number = fd;

	cr_assert_geq(fd, 0);
	errno = ENOSPC;
	fd_closep(&fd);
	cr_expect_eq(errno, ENOSPC, "the errno being reported is kept");
	cr_expect_eq(fd, FD_NONE);
	cr_expect_eq(fcntl(number, F_GETFD), -1);
	fd_closep(&fd);
	cr_expect_eq(fd, FD_NONE);
}

static int taken_out_of_its_scope(void)
{
	cleanup_fd int fd = memfd_create("x", MFD_CLOEXEC);

	return fd_take(&fd);
}

static int left_in_its_scope(void)
{
	cleanup_fd int fd = memfd_create("x", MFD_CLOEXEC);

	return fd;
}

Test(fd, outlives_its_scope_only_if_taken)
{
	int fd = taken_out_of_its_scope();

	cr_expect_geq(fcntl(fd, F_GETFD), 0);
	(void)close(fd);
	fd = left_in_its_scope();
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
}
