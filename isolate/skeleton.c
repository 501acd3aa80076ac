/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "skeleton.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <base/fd.h>
#include <base/io.h>

#include "spec.h"
#include "template.h"

#define COPY_FILE_BYTES_MAX (4 << 20)
#define COPY_DEPTH_MAX      6

static const char *const directories[] = {
	"usr",     "etc",   "proc", "sys",   "sys/fs", "sys/fs/cgroup", "dev",       "dev/shm",
	"dev/pts", "tmp",   "data", "cache", "run",    "run/tenant",    "run/empty", "var",
	"home",    "media", "mnt",  "opt",   "root",   "srv",
};

static const struct link {
	const char *path, *target;
} links[] = {
	{ "var/tmp", "../tmp" },
	{ "var/run", "../run" },
	{ "dev/fd", "/proc/self/fd" },
	{ "dev/stdin", "/proc/self/fd/0" },
	{ "dev/stdout", "/proc/self/fd/1" },
	{ "dev/stderr", "/proc/self/fd/2" },
	{ "dev/ptmx", "pts/ptmx" },
	{ "etc/mtab", "/proc/self/mounts" },
	{ "etc/hosts", "../run/tenant/hosts" },
	{ "etc/hostname", "../run/tenant/hostname" },
};

static const struct device {
	const char *path;
	unsigned int major, minor;
} devices[] = {
	{ "dev/null", 1, 3 },   { "dev/zero", 1, 5 },    { "dev/full", 1, 7 },
	{ "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 },
};

#define USER_LINE(name, id, home, shell) name ":x:" #id ":" #id ":" name ":" home ":" shell "\n"
#define GROUP_LINE(name, id)             name ":x:" #id ":\n"

static const struct text {
	const char *path, *content;
} texts[] = {
	{ "etc/passwd", SPEC_USERS(USER_LINE) },
	{ "etc/group", SPEC_GROUPS(GROUP_LINE) },
	{ "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"
	                       "services: files\nprotocols: files\n" },
	{ "etc/resolv.conf", "" },
};

static const char *const etc_copied[] = {
	"alternatives",
	"bash.bashrc",
	"ca-certificates",
	"ca-certificates.conf",
	"debian_version",
	"fonts",
	"gai.conf",
	"host.conf",
	"inputrc",
	"ld.so.cache",
	"ld.so.conf",
	"ld.so.conf.d",
	"locale.alias",
	"localtime",
	"lsb-release",
	"magic",
	"mime.types",
	"networks",
	"openssl",
	"os-release",
	"perl",
	"profile",
	"profile.d",
	"protocols",
	"python3",
	"python3.11",
	"python3.12",
	"python3.13",
	"rpc",
	"services",
	"shells",
	"skel",
	"ssh",
	"ssl",
	"terminfo",
	"timezone",
};

/* What the host's /usr is usually reached by. */
static const char *const usr_links[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };

static int text_write(int root_fd, const char *path, const char *content, struct tn_error *err)
{
	cleanup_fd int fd = openat(root_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	                           0644);
	int r;

	if (fd < 0)
		return err_errno(err, "create /%s", path);
	r = io_write_all(fd, content, strlen(content));
	return r < 0 ? err_set(err, TN_SYSTEM, -r, "write /%s", path) : 0;
}

static int file_copy(int from, int to_dir, const char *name, mode_t mode)
{
	cleanup_fd int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	                           mode & 0755u);
	char block[8192];
	ssize_t n;

	if (to < 0)
		return -errno;
	while ((n = read(from, block, sizeof(block))) > 0) {
		int r = io_write_all(to, block, (size_t)n);

		if (r < 0)
			return r;
	}
	return n < 0 ? -errno : 0;
}

static int tree_copy(int from_dir, int to_dir, const char *name, int depth);

static int directory_copy(int from_dir, int to_dir, const char *name, int depth)
{
	int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_fd int to = FD_NONE;
	struct dirent *entry;
	int r = 0;

	if (from < 0)
		return -errno;
	if (mkdirat(to_dir, name, 0755) < 0 ||
	    (to = openat(to_dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
		r = -errno;
		(void)close(from);
		return r;
	}
	DIR *dir = fdopendir(from);

	if (dir == NULL) {
		r = -errno;
		(void)close(from);
		return r;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = tree_copy(dirfd(dir), to, entry->d_name, depth + 1);
	(void)closedir(dir);
	return r;
}

/* What is missing, not readable by everyone, large or of another kind is left out. */
static int tree_copy(int from_dir, int to_dir, const char *name, int depth)
{
	char target[4096];
	struct stat st;

	if (depth > COPY_DEPTH_MAX || fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

		if (n < 0)
			return -errno;
		target[n] = '\0';
		return symlinkat(target, to_dir, name) < 0 ? -errno : 0;
	}
	if ((st.st_mode & S_IROTH) == 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return (st.st_mode & S_IXOTH) != 0
		               ? directory_copy(from_dir, to_dir, name, depth)
		               : 0;
	if (S_ISREG(st.st_mode) && st.st_size <= COPY_FILE_BYTES_MAX) {
		cleanup_fd int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		return from < 0 ? -errno : file_copy(from, to_dir, name, st.st_mode);
	}
	return 0;
}

static int etc_fill(int root_fd, struct tn_error *err)
{
	cleanup_fd int from = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int to = openat(root_fd, "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (from < 0 || to < 0)
		return err_errno(err, "open /etc");
	for (size_t i = 0; i < ARRAY_LEN(etc_copied); i++) {
		int r = tree_copy(from, to, etc_copied[i], 0);

		if (r < 0)
			return err_set(err, TN_SYSTEM, -r, "copy /etc/%s", etc_copied[i]);
	}
	return 0;
}

/* /bin and its kin: links as on a merged-usr host, directories to bind on otherwise. */
static int usr_links_make(int root_fd, struct tn_error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(usr_links); i++) {
		char path[16], target[64];
		ssize_t n;
		int r;

		(void)snprintf(path, sizeof(path), "/%s", usr_links[i]);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0 && errno == ENOENT)
			continue;
		if (n >= 0) {
			target[n] = '\0';
			r = symlinkat(target, root_fd, usr_links[i]);
		} else {
			r = mkdirat(root_fd, usr_links[i], 0755);
		}
		if (r < 0)
			return err_errno(err, "create /%s", usr_links[i]);
	}
	return 0;
}

static int nodes_make(int root_fd, struct tn_error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(directories); i++)
		if (mkdirat(root_fd, directories[i], 0755) < 0)
			return err_errno(err, "mkdir /%s", directories[i]);
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlinkat(links[i].target, root_fd, links[i].path) < 0)
			return err_errno(err, "link /%s", links[i].path);
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		/* The mode is set apart: the umask must not narrow it. */
		if (mknodat(root_fd, devices[i].path, S_IFCHR | 0666,
		            makedev(devices[i].major, devices[i].minor)) < 0 ||
		    fchmodat(root_fd, devices[i].path, 0666, 0) < 0)
			return err_errno(err, "create /%s", devices[i].path);
	}
	for (unsigned int i = 0; i < TEMPLATE_CGROUP_FILES_N; i++) {
		char path[64];
		int r;

		(void)snprintf(path, sizeof(path), "sys/fs/cgroup/%s", template_cgroup_file(i));
		r = text_write(root_fd, path, "", err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill(int root_fd, struct tn_error *err)
{
	int r = nodes_make(root_fd, err);

	if (r == 0)
		r = usr_links_make(root_fd, err);
	if (r == 0)
		r = etc_fill(root_fd, err);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(texts); i++)
		r = text_write(root_fd, texts[i].path, texts[i].content, err);
	return r;
}

int skeleton_make(const char *path, struct tn_error *err)
{
	cleanup_fd int root_fd = FD_NONE;
	int r;

	if (mount("tenantd", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64m") < 0)
		return err_errno(err, "mount the skeleton on %s", path);
	root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return err_errno(err, "open %s", path);
	r = fill(root_fd, err);
	if (r < 0)
		return err_wrap(err, r, "skeleton");
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC,
	          NULL) < 0)
		return err_errno(err, "seal the skeleton on %s", path);
	return 0;
}
