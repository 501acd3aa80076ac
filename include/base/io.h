/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whole reads and writes, header-only. Each retries on EINTR and on a short
 * transfer, so that a caller sees all or an error.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <fcntl.h>
#include <sys/types.h>

#include <base/err.h>
#include <base/fd.h>

/* Write all @n bytes to @fd. Returns 0 or -errno. */
static inline int io_write_all(int fd, const void *buf, size_t n)
{
	const char *p = buf;

	while (n > 0) {
		ssize_t written = write(fd, p, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		p += written;
		n -= (size_t)written;
	}
	return 0;
}

/* Read until @n bytes or the end of the file. Returns the bytes read, or -errno. */
static inline ssize_t io_read_all(int fd, void *buf, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, (char *)buf + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/*
 * Read a small text file below the borrowed @dir_fd as a string into @buf.
 * Returns its length, or -errno; -EFBIG if it does not fit with its NUL.
 */
static inline ssize_t io_read_file_at(int dir_fd, const char *path, char *buf, size_t size)
{
	cleanup_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = io_read_all(fd, buf, size);
	if (n < 0)
		return n;
	if ((size_t)n == size)
		return -EFBIG;
	buf[n] = '\0';
	return n;
}

/* Write @text in one write(2) to an existing file below the borrowed @dir_fd. */
static inline int io_write_file_at(int dir_fd, const char *path, const char *text)
{
	cleanup_fd int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t n = strlen(text);
	ssize_t written;

	if (fd < 0)
		return -errno;
	written = write(fd, text, n);
	if (written < 0)
		return -errno;
	return (size_t)written == n ? 0 : -EIO;
}

#endif
