/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a command comes with on a call, whether it is run or joins what runs: its standard
 * streams or the size of its terminal, and its arguments in a sealed memfd.
 */
#ifndef RUNTIME_CONTROL_COMMAND_H
#define RUNTIME_CONTROL_COMMAND_H

#include "call.h"

enum command_fd {
	COMMAND_STDIN,
	COMMAND_STDOUT,
	COMMAND_STDERR,
	COMMAND_ARGS,
	COMMAND_FDS_N,
};

/* What execve(2) takes with a stack of 8 MiB; tenantd and the kernel have their own say. */
#define COMMAND_ARGS_BYTES_MAX (INT64_C(2) << 20)

struct command_arguments {
	int64_t fds[COMMAND_FDS_N]; /* indexes of the message's descriptors */
	int64_t argc;
	int64_t envc;
	struct command_terminal {
		int64_t rows;
		int64_t cols;
	} terminal;
};

extern const struct param command_terminal_params[];

/* NOLINTBEGIN(bugprone-macro-parentheses): neither a type nor a member can be in any */
#define COMMAND_FD_ROW(name_, type, member, i)                                                 \
	{                                                                                      \
		.name = (name_), .kind = PARAM_INT,                                            \
		.offset = offsetof(type, member.fds) + (i) * sizeof(int64_t)                   \
	}
#define COMMAND_COUNT_ROW(type, member, field)                                                 \
	{                                                                                      \
		.name = #field, .kind = PARAM_INT, .max = COMMAND_ARGS_BYTES_MAX,              \
		.offset = offsetof(type, member.field)                                         \
	}
/* The rows of struct command_arguments as @member of @type. */
#define COMMAND_ROWS(type, member)                                                             \
	COMMAND_FD_ROW("stdin", type, member, COMMAND_STDIN),                                  \
		COMMAND_FD_ROW("stdout", type, member, COMMAND_STDOUT),                        \
		COMMAND_FD_ROW("stderr", type, member, COMMAND_STDERR),                        \
		COMMAND_FD_ROW("args", type, member, COMMAND_ARGS),                            \
		COMMAND_COUNT_ROW(type, member, argc), COMMAND_COUNT_ROW(type, member, envc),  \
	{                                                                                      \
		.name = "terminal", .kind = PARAM_STRUCT, .fields = command_terminal_params,   \
		.offset = offsetof(type, member.terminal)                                      \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

/* The descriptors are owned; those of a message come in the order of enum command_fd, the first
 * three left out with a terminal, and what more there is behind them. */
struct command {
	int fds[SPEC_FDS_MAX];
	size_t fds_n;
	uint32_t args_bytes;
	bool tty;
};

void command_done(struct command *command);

/* Take descriptor @index of the message. */
int command_take_fd(struct call *call, struct command *command, int64_t index, const char *what,
                    struct tn_error *err);

/* A size asks for a terminal, which then stands where the standard streams would. */
int command_take_terminal(struct command *command, const struct command_arguments *arguments,
                          struct tn_error *err);

/* Take the arguments, and before them the standard streams if @streams and without a terminal.
 */
int command_take(struct call *call, struct command *command,
                 const struct command_arguments *arguments, bool streams, struct tn_error *err);

/* Refuse what has come along and was not taken. */
int command_check_rest(const struct call *call, struct tn_error *err);

#endif
