/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <base/fd.h>

#define ARGS_SEALS        (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)
#define TERMINAL_SIZE_MAX 65535 /* as in struct winsize */

#define SIZE_ROW(field)                                                                        \
	{                                                                                      \
		.name = #field, .kind = PARAM_INT, .max = TERMINAL_SIZE_MAX,                   \
		.offset = offsetof(struct command_terminal, field)                             \
	}

const struct param command_terminal_params[] = {
	SIZE_ROW(rows),
	SIZE_ROW(cols),
	{ .name = NULL },
};

void command_done(struct command *command)
{
	for (size_t i = 0; i < command->fds_n; i++)
		fd_closep(&command->fds[i]);
	command->fds_n = 0;
}

int command_take_fd(struct call *call, struct command *command, int64_t index, const char *what,
                    struct tn_error *err)
{
	int fd;

	if (index == PARAMS_ABSENT)
		return err_refuse(err, TN_INVALID, "%s: no descriptor", what);
	fd = varlink_message_take_fd(&call->message, index, err);
	if (fd < 0)
		return err_wrap(err, fd, "%s", what);
	command->fds[command->fds_n++] = fd;
	return 0;
}

int command_take_terminal(struct command *command, const struct command_arguments *arguments,
                          struct tn_error *err)
{
	const struct command_terminal *size = &arguments->terminal;

	command->tty = size->rows != PARAMS_ABSENT || size->cols != PARAMS_ABSENT;
	if (!command->tty)
		return 0;
	if (size->rows == PARAMS_ABSENT || size->cols == PARAMS_ABSENT)
		return err_refuse(err, TN_INVALID, "terminal: rows and cols are both needed");
	for (size_t i = 0; i < COMMAND_ARGS; i++)
		if (arguments->fds[i] != PARAMS_ABSENT)
			return err_refuse(err, TN_INVALID,
			                  "stdin, stdout and stderr are the terminal's");
	return 0;
}

/* Nobody between the client and the sandbox parses them; that they hold still is enough. */
static int check_args(struct command *command, const struct command_arguments *arguments,
                      struct tn_error *err)
{
	int fd = command->fds[command->fds_n - 1]; /* the last one taken */
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & ARGS_SEALS) != ARGS_SEALS)
		return err_refuse(err, TN_INVALID, "args: not a sealed memfd");
	if (fstat(fd, &st) < 0)
		return err_errno(err, "args");
	if (st.st_size > COMMAND_ARGS_BYTES_MAX)
		return err_set(err, TN_INVALID, E2BIG, "the arguments are too long");
	/* Each string has its NUL, the working directory too. */
	if (arguments->argc < 1 || arguments->envc < 0 ||
	    arguments->argc + arguments->envc >= st.st_size)
		return err_refuse(err, TN_INVALID, "argc or envc is not what args can hold");
	command->args_bytes = (uint32_t)st.st_size;
	return 0;
}

int command_take(struct call *call, struct command *command,
                 const struct command_arguments *arguments, bool streams, struct tn_error *err)
{
	static const char *const names[COMMAND_FDS_N] = { "stdin", "stdout", "stderr", "args" };
	int r = 0;

	for (size_t i = command->tty || !streams ? COMMAND_ARGS : 0;
	     r == 0 && i < COMMAND_FDS_N; i++)
		r = command_take_fd(call, command, arguments->fds[i], names[i], err);
	return r < 0 ? r : check_args(command, arguments, err);
}

int command_check_rest(const struct call *call, struct tn_error *err)
{
	for (size_t i = 0; i < call->message.fds_n; i++)
		if (call->message.fds[i] >= 0)
			return err_refuse(err, TN_INVALID,
			                  "descriptor %zu belongs to no parameter", i);
	return 0;
}
