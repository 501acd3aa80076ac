/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file
 * Copy files and directories into what a tenant has stored, and out of it: what is /data in its
 * sandboxes, whether anything of the tenant runs, has ever run, or is suspended.
 *
 * A directory is copied with all that is in it. Modes (permission bits alone) and times of
 * modification are kept, owners are not: inside, all belongs to the tenant's workload (1000),
 * outside to the caller, whose umask narrows what a tenant gives. Holes stay holes. Several
 * names of one file become several files.
 *
 * A file appears as a whole, with its name, or not at all: what was there is replaced in one
 * step, and an interrupted copy leaves nothing half done, inside as well as, on file systems
 * that know files without a name (O_TMPFILE), outside.
 *
 * Symbolic links are copied as such and never followed, those in the path inside included. In a
 * path outside those before its last name are; the last, where an earlier copy may have put it,
 * is not, unless a slash follows it. In what is copied none is, on either side, whatever the
 * tenant changes meanwhile. FIFOs, sockets and devices are not copied.
 *
 * Where the daemon is restarted meanwhile, the copy goes on; it waits up to a minute for it.
 *
 * There is but a form that waits: files of the host's are read and written in the caller's own
 * thread, with his rights and limits, and that waits in any case.
 */
#ifndef TENANT_COPY_H
#define TENANT_COPY_H

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Directories one in the other that are copied at most. */
#define TN_COPY_DEPTH_MAX 256

enum tn_copied_kind {
	TN_COPIED_FILE = 1,
	TN_COPIED_DIRECTORY, /**< all that is in it is still to come */
	TN_COPIED_LINK,
	TN_COPIED_NOTHING, /**< it was left out */
};

/** One thing that was copied, or left out; valid during the call that tells it. */
struct tn_copied {
	enum tn_copied_kind kind;
	/** Where it is, or is to be, inside: "/data/..."; any bytes but NUL, as the tenant
	 * named it. */
	const char *path;
	int64_t bytes;              /**< of a file */
	const struct tn_error *why; /**< of TN_COPIED_NOTHING, with the path that is meant */
};

/** Anything but 0 ends the copy with -ECANCELED; what was copied stays. */
typedef int tn_copied_fn(const struct tn_copied *copied, void *userdata);

/** Zero it, then set what is wanted; borrowed during the call. */
struct tn_copy_spec {
	const char *tenant;
	/** Inside: "/data/..." or relative to /data, UTF-8, without "..". */
	const char *path;
	/** On the host. NULL: @fd is read to its end as one file, or one file is written to
	 * it. */
	const char *host_path;
	int fd;
	tn_copied_fn *each; /**< or NULL */
	void *userdata;
};

/** How much it was. */
struct tn_copy_result {
	int64_t files, directories, links;
	int64_t bytes;      /**< of the files */
	int64_t left_out_n; /**< of what was met on the way: told to @each, and the rest copied
	                     */
};

/**
 * Copy @spec->host_path to @spec->path. If there is a directory inside, the copy is in it,
 * under the name that it has on the host; if that is "." or "..", its contents are. Otherwise
 * the copy has the path; the directory that it is in has to be there.
 *
 * What cannot be copied because of itself (it is special, not to be read, has gone) is left out
 * and counted in *@ret, unless it is @spec->host_path; a full disk or quota is an error.
 *
 * @ret  Receives what was copied, also when the rest fails.
 *
 * TN_NOT_FOUND: there is no such tenant, file or directory. TN_NOT_PERMITTED: the caller may
 * not run the tenant's commands, or its workload may not write there. TN_STATE: the tenant is
 * being deleted or too much is copied at a time, or what is there cannot be replaced.
 */
TN_API int tn_copy_in(struct tn_client *client, const struct tn_copy_spec *spec,
                      struct tn_copy_result *ret, struct tn_error *err);

/** The same the other way round: @spec->path to @spec->host_path. */
TN_API int tn_copy_out(struct tn_client *client, const struct tn_copy_spec *spec,
                       struct tn_copy_result *ret, struct tn_error *err);

#ifdef __cplusplus
}
#endif
#endif
