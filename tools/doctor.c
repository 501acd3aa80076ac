/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>

#include "cmd.h"

static const struct doctor_check *const tables[] = {
	doctor_kernel_checks,
	doctor_cgroup_checks,
	doctor_setup_checks,
};

void doctor_say(struct doctor *doctor, enum doctor_verdict verdict, const char *what,
                const char *why, ...)
{
	static const char *const words[] = { "ok", "warn", "FAIL" };
	char line[DOCTOR_LINE_BYTES_MAX] = "";
	va_list ap;

	doctor->failed_n += verdict == DOCTOR_FAIL;
	doctor->warned_n += verdict == DOCTOR_WARN;
	if (why != NULL) {
		va_start(ap, why);
		(void)vsnprintf(line, sizeof(line), why, ap);
		va_end(ap);
	}
	if (!doctor->json) {
		(void)fprintf(doctor->file, "%-4s  %s%s%s\n", words[verdict], what,
		              why != NULL ? " \u2014 " : "", line);
		return;
	}
	jout_line(&doctor->out);
	jout_begin(&doctor->out, NULL, '{');
	jout_text(&doctor->out, "check", doctor->check);
	jout_text(&doctor->out, "verdict", verdict == DOCTOR_FAIL ? "fail" : words[verdict]);
	jout_text(&doctor->out, "what", what);
	jout_text(&doctor->out, "why", why != NULL ? line : NULL);
	jout_end(&doctor->out, '}');
}

ssize_t doctor_read(const struct doctor *doctor, const char *path, char *text, size_t size)
{
	cleanup_fd int fd = openat(doctor->root_fd, path + 1, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	n = io_read_all(fd, text, size - 1);
	text[n < 0 ? 0 : n] = '\0';
	return n;
}

FILE *doctor_open(const struct doctor *doctor, const char *path)
{
	int fd = openat(doctor->root_fd, path + 1, O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (file == NULL)
		fd_closep(&fd);
	return file;
}

bool doctor_has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; (p = strstr(p, word)) != NULL; p += n) {
		bool begins = p == text || strchr(" \t\n,", p[-1]) != NULL;

		if (begins && (p[n] == '\0' || strchr(" \t\n,", p[n]) != NULL))
			return true;
	}
	return false;
}

/* "36 35 98:0 / /mnt rw shared:1 - ext4 /dev/sda1 rw,prjquota"; see proc(5). */
static bool parse_mount(const char *line, struct doctor_mount *mount)
{
	const char *separator = strstr(line, " - ");

	return separator != NULL && sscanf(line, "%*s %*s %*s %*s %255s", mount->point) == 1 &&
	       sscanf(separator, " - %31s %*s %255s", mount->type, mount->options) == 2;
}

bool doctor_each_mount(const struct doctor *doctor,
                       bool (*each)(const struct doctor_mount *mount, void *userdata),
                       void *userdata)
{
	FILE *file = doctor_open(doctor, "/proc/self/mountinfo");
	cleanup_free char *line = NULL;
	struct doctor_mount mount;
	bool found = false;
	size_t size = 0;

	if (file == NULL)
		return false;
	while (!found && getline(&line, &size, file) > 0)
		found = parse_mount(line, &mount) && each(&mount, userdata);
	(void)fclose(file);
	return found;
}

int doctor_run(struct doctor *doctor)
{
	doctor->out = (struct jout){ .file = doctor->file };
	if (doctor->json)
		jout_begin(&doctor->out, NULL, '[');
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (const struct doctor_check *check = tables[i]; check->name != NULL;
		     check++) {
			doctor->check = check->name;
			check->run(doctor);
		}
	}
	if (doctor->json) {
		jout_end_lines(&doctor->out);
		(void)putc('\n', doctor->file);
	} else if (doctor->failed_n > 0) {
		(void)fprintf(doctor->file, "\nneeded and missing: %d\n", doctor->failed_n);
	} else if (doctor->warned_n > 0) {
		(void)fprintf(doctor->file, "\nnothing that is needed is missing\n");
	}
	return doctor->failed_n > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int cmd_doctor(struct ctl *ctl, struct tn_error *err)
{
	cleanup_fd int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct doctor doctor = {
		.root_fd = root_fd,
		.root = "",
		.config = ctl->config != NULL ? ctl->config : CONFIG_DIR,
		.socket = ctl->socket,
		.file = stdout,
		.json = ctl->json,
	};

	if (doctor.config[0] != '/')
		return err_refuse(err, TN_INVALID, "--config: '%s' is not an absolute path",
		                  doctor.config);
	if (root_fd < 0)
		return err_errno(err, "open /: %s", strerror(errno));
	return doctor_run(&doctor);
}
