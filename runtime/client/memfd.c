/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memfd.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <base/fd.h>
#include <base/io.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int memfd_sealed(const char *what, const void *bytes, size_t n, struct tn_error *err)
{
	cleanup_fd int fd = memfd_create(what,
	                                 MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	int r;

	/* Before Linux 6.3 it cannot be asked not to be executable. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(what, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_errno(err, "make a memfd for %s: %s", what, strerror(errno));
	r = io_write_all(fd, bytes, n);
	if (r < 0)
		return err_set(err, TN_SYSTEM, -r, "write %s: %s", what, strerror(-r));
	if (lseek(fd, 0, SEEK_SET) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return err_errno(err, "seal %s: %s", what, strerror(errno));
	return fd_take(&fd);
}
