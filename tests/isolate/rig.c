/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rig.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <base/io.h>

struct rig_dir rig_dir = { .fd = FD_NONE };

void rig_need(bool met, const char *why)
{
	const char *must = getenv("TN_MUST_RUN");

	if (met)
		return;
	if (must != NULL && strcmp(must, "1") == 0)
		cr_assert_fail("TN_MUST_RUN=1, but this would be skipped: %s", why);
	/* Of a test that is skipped in .init, .fini does not run. */
	if (rig_dir.fd >= 0)
		rig_dir_remove();
	cr_skip("%s", why);
}

void rig_need_root(void)
{
	rig_need(geteuid() == 0, "only root can do this");
}

void rig_dir_make(void)
{
	(void)snprintf(rig_dir.path, sizeof(rig_dir.path), "/tmp/tn-isolate-XXXXXX");
	cr_assert(mkdtemp(rig_dir.path) != NULL);
	rig_dir.fd = open(rig_dir.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(rig_dir.fd, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void rig_dir_remove(void)
{
	fd_closep(&rig_dir.fd);
	(void)nftw(rig_dir.path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

const char *rig_path(const char *name)
{
	static char paths[2][RIG_PATH_BYTES_MAX * 2];
	static unsigned int turn;
	char *path = paths[turn++ % 2];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", rig_dir.path, name);
	return path;
}

void rig_put_bytes(const char *name, const void *bytes, size_t n, mode_t mode)
{
	cleanup_fd int fd = openat(rig_dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	                           0600);

	cr_assert_geq(fd, 0, "%s: %s", name, strerror(errno));
	cr_assert_eq(io_write_all(fd, bytes, n), 0);
	/* Apart from the umask. */
	cr_assert_eq(fchmod(fd, mode), 0);
}

void rig_put(const char *name, const char *text, mode_t mode)
{
	rig_put_bytes(name, text, strlen(text), mode);
}

const char *rig_get(const char *name)
{
	static char text[8192];
	ssize_t n = io_read_file_at(rig_dir.fd, name, text, sizeof(text));

	cr_assert_geq(n, 0, "%s: %s", name, strerror((int)-n));
	return text;
}

bool rig_exists(const char *name)
{
	return faccessat(rig_dir.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

size_t rig_entries_n(void)
{
	DIR *dir = opendir(rig_dir.path);
	const struct dirent *entry;
	size_t n = 0;

	cr_assert(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.' || entry->d_name[1] != '\0';
	(void)closedir(dir);
	/* ".." is always there. */
	return n - 1;
}

static const char *cgroup2_mounted(void)
{
	static const char *const paths[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified",
		                             "/mnt" };
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (statfs(paths[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return paths[i];
	return NULL;
}

const char *rig_cgroup2(void)
{
	if (cgroup2_mounted() == NULL && unshare(CLONE_NEWNS) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		(void)mount("cgroup2", "/mnt", "cgroup2", 0, NULL);
	return cgroup2_mounted();
}
