/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host can and cannot enforce, in plain words.
 *
 * A check is a row in a table and a function that says one thing or several. It reads
 * files below a root that tests put a made-up host into; what only the running kernel
 * can answer it asks that, with calls that fail whatever the answer is.
 */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "jout.h"

#define DOCTOR_LINE_BYTES_MAX 512

enum doctor_verdict {
	DOCTOR_OK,
	DOCTOR_WARN, /* works, with less than could be */
	DOCTOR_FAIL, /* something that is needed is missing */
};

struct doctor {
	int root_fd;        /* borrowed */
	const char *root;   /* its path; "" for the real one */
	const char *config; /* "/etc/tenantd", below the root */
	const char *socket; /* NULL: the usual one */
	FILE *file;         /* borrowed; where it is said */
	bool json;
	struct jout out;
	const char *check; /* the one that runs */
	int failed_n, warned_n;
};

typedef void doctor_fn(struct doctor *doctor);

struct doctor_check {
	const char *name; /* in JSON */
	doctor_fn *run;
};

/* Each ends with a row without a name. */
extern const struct doctor_check doctor_kernel_checks[];
extern const struct doctor_check doctor_cgroup_checks[];
extern const struct doctor_check doctor_setup_checks[];

/* @what, and @why it is so and what to do; @why NULL if there is nothing to add. */
__attribute__((format(printf, 4, 5))) void doctor_say(struct doctor *doctor,
                                                      enum doctor_verdict verdict,
                                                      const char *what, const char *why, ...);

/* Run all checks; returns the exit status. */
int doctor_run(struct doctor *doctor);

/*
 * Read an absolute path below the root as a string into @text, cut at @size - 1.
 * Returns its length or -errno.
 */
ssize_t doctor_read(const struct doctor *doctor, const char *path, char *text, size_t size);

/* Open one for reading; NULL if it cannot be. */
FILE *doctor_open(const struct doctor *doctor, const char *path);

/* The whole word @word stands in @text, between blanks or the ends of lines. */
bool doctor_has_word(const char *text, const char *word);

/* One line of /proc/self/mountinfo. */
struct doctor_mount {
	char point[256];
	char type[32];
	char options[256]; /* of the file system */
};

/* Each mount in turn, until @each returns true; whether one did. */
bool doctor_each_mount(const struct doctor *doctor,
                       bool (*each)(const struct doctor_mount *mount, void *userdata),
                       void *userdata);

#endif
