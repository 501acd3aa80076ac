/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files on the host that appear whole: without a name while they are written, where the file
 * system knows such, else under one of their own that goes again. No link is followed.
 *
 * Functions here return 0, or -errno.
 */
#ifndef RUNTIME_CLIENT_HOST_FILE_H
#define RUNTIME_CLIENT_HOST_FILE_H

#include <sys/types.h>

#define HOST_NAME_BYTES 48

struct host_file {
	int fd;
	int parent_fd;               /* borrowed */
	char spare[HOST_NAME_BYTES]; /* "": it has no name */
};

/* A new one, to be in @parent_fd; @mode is narrowed by the umask. */
int host_file_make(struct host_file *file, int parent_fd, mode_t mode);
/* Give it the name @name; a file or link that had that is replaced. */
int host_file_commit(struct host_file *file, const char *name);
/* Whether or not it was committed. */
void host_file_done(struct host_file *file);

/* The same for a symbolic link. */
int host_link_make(int parent_fd, const char *name, const char *target);

#endif
