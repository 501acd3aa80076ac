/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reserve.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#define VALUE_BYTES_MAX 64
/* systemd takes hundredths of a percent. */
#define CPU_USEC_STEP (SPEC_CPU_PERIOD_USEC / 10000)
#define EXIT_NOT_RUN  127

static bool has_suffix(const char *text, const char *suffix)
{
	const size_t n = strlen(text), suffix_n = strlen(suffix);

	return n > suffix_n && strcmp(text + n - suffix_n, suffix) == 0;
}

void reserve_init(struct reserve *reserve, bool systemd)
{
	const char *slash = strrchr(reserve->hierarchy->path, '/');
	const char *name = slash != NULL ? slash + 1 : "";

	reserve->source.fd = FD_NONE;
	if (systemd && (has_suffix(name, ".service") || has_suffix(name, ".scope")) &&
	    strlen(name) < sizeof(reserve->unit))
		memcpy(reserve->unit, name, strlen(name) + 1);
}

static int64_t left(int64_t whole, int64_t leave)
{
	if (leave == 0)
		return SPEC_UNLIMITED;
	return leave < whole / 2 ? whole - leave : whole - whole / 2;
}

struct reserve_limits reserve_compute(int64_t memory_bytes, int64_t cpus,
                                      int64_t leave_memory_bytes, int64_t leave_cpu_usec)
{
	struct reserve_limits limits = {
		.memory_bytes = left(memory_bytes, leave_memory_bytes),
		.cpu_usec = left(cpus * SPEC_CPU_PERIOD_USEC, leave_cpu_usec),
	};

	/* As the kernel holds memory, and systemd shares of a CPU. */
	if (limits.memory_bytes != SPEC_UNLIMITED)
		limits.memory_bytes -= limits.memory_bytes % sysconf(_SC_PAGESIZE);
	if (limits.cpu_usec != SPEC_UNLIMITED)
		limits.cpu_usec -= limits.cpu_usec % CPU_USEC_STEP;
	return limits;
}

static int file_write(const struct reserve *reserve, const char *file, const char *text,
                      struct tn_error *err)
{
	int r = io_write_file_at(reserve->hierarchy->root_fd, file, text);

	if (r < 0)
		return err_set(err, TN_SYSTEM, -r, "%s: write '%s' to %s: %s",
		               reserve->hierarchy->path, text, file, strerror(-r));
	return 0;
}

/* A controller that is not there holds nothing, which is said elsewhere. */
static int files_write(const struct reserve *reserve, struct tn_error *err)
{
	const struct reserve_limits *limits = &reserve->wanted;
	char text[VALUE_BYTES_MAX];
	int r = 0;

	(void)snprintf(text, sizeof(text), "max");
	if (limits->memory_bytes != SPEC_UNLIMITED)
		(void)snprintf(text, sizeof(text), "%" PRId64, limits->memory_bytes);
	if ((reserve->hierarchy->controllers & SPEC_CONTROLLER_MEMORY) != 0)
		r = file_write(reserve, "memory.max", text, err);
	(void)snprintf(text, sizeof(text), "max %d", SPEC_CPU_PERIOD_USEC);
	if (limits->cpu_usec != SPEC_UNLIMITED)
		(void)snprintf(text, sizeof(text), "%" PRId64 " %d", limits->cpu_usec,
		               SPEC_CPU_PERIOD_USEC);
	if (r == 0 && (reserve->hierarchy->controllers & SPEC_CONTROLLER_CPU) != 0)
		r = file_write(reserve, "cpu.max", text, err);
	return r;
}

static void run(const struct reserve *reserve) __attribute__((noreturn));
static void run(const struct reserve *reserve)
{
	const struct reserve_limits *limits = &reserve->wanted;
	char memory[VALUE_BYTES_MAX] = "MemoryMax=infinity", cpu[VALUE_BYTES_MAX] = "CPUQuota=";
	const char *const argv[] = { "systemctl",
		                     "--no-ask-password",
		                     "set-property",
		                     "--runtime",
		                     reserve->unit,
		                     memory,
		                     cpu,
		                     NULL };
	const char *const environment[] = { "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL };
	sigset_t none;

	if (limits->memory_bytes != SPEC_UNLIMITED)
		(void)snprintf(memory, sizeof(memory), "MemoryMax=%" PRId64,
		               limits->memory_bytes);
	if (limits->cpu_usec != SPEC_UNLIMITED)
		(void)snprintf(cpu, sizeof(cpu), "CPUQuota=%" PRId64 ".%02" PRId64 "%%",
		               limits->cpu_usec / CPU_USEC_STEP / 100,
		               limits->cpu_usec / CPU_USEC_STEP % 100);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (close_range(STDERR_FILENO + 1, ~0u, 0) == 0)
		/* exec() changes none of them. */
		(void)execve(reserve->systemctl, (char *const *)(uintptr_t)argv,
		             (char *const *)(uintptr_t)environment);
	_exit(EXIT_NOT_RUN);
}

static int process_start(struct reserve *reserve, struct tn_error *err)
{
	reserve->pid = fork();
	if (reserve->pid == 0)
		run(reserve);
	if (reserve->pid < 0) {
		reserve->pid = 0;
		return err_errno(err, "fork");
	}
	reserve->source.fd = (int)syscall(SYS_pidfd_open, reserve->pid, 0);
	return reserve->source.fd < 0 ? err_errno(err, "a process' descriptor")
	                              : loop_add(reserve->loop, &reserve->source, EPOLLIN, err);
}

static void apply(struct reserve *reserve);

static void on_ended(void *context, uint32_t events)
{
	struct reserve *reserve = context;
	struct tn_error err = { 0 };
	int status = 0;

	(void)events;
	if (waitpid(reserve->pid, &status, 0) != reserve->pid || status != 0)
		(void)err_refuse(&err, TN_SYSTEM,
		                 "systemctl set-property %s failed (%d); its words are in the "
		                 "journal",
		                 reserve->unit, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	loop_remove(reserve->loop, &reserve->source);
	fd_closep(&reserve->source.fd);
	reserve->pid = 0;
	if (reserve->again)
		apply(reserve);
	else
		reserve->told(reserve->context, &err);
}

static void apply(struct reserve *reserve)
{
	struct tn_error err = { 0 };
	int r;

	reserve->again = false;
	if (reserve->unit[0] == '\0') {
		(void)files_write(reserve, &err);
		reserve->told(reserve->context, &err);
		return;
	}
	reserve->source.ready = on_ended;
	reserve->source.context = reserve;
	r = process_start(reserve, &err);
	if (r == 0)
		return;
	if (reserve->pid != 0)
		(void)waitpid(reserve->pid, NULL, 0);
	fd_closep(&reserve->source.fd);
	reserve->pid = 0;
	reserve->told(reserve->context, &err);
}

void reserve_set(struct reserve *reserve, int64_t leave_memory_bytes, int64_t leave_cpu_usec)
{
	struct tn_error err = { 0 };
	struct sysinfo info;
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (sysinfo(&info) < 0 || cpus < 1) {
		(void)err_errno(&err, "how much the host has");
		reserve->told(reserve->context, &err);
		return;
	}
	reserve->wanted = reserve_compute((int64_t)info.totalram * info.mem_unit, cpus,
	                                  leave_memory_bytes, leave_cpu_usec);
	if (reserve->pid != 0)
		reserve->again = true;
	else
		apply(reserve);
}

void reserve_ask(struct reserve *reserve, const struct spec_reserve *request)
{
	struct tn_error err = { 0 };

	reserve->asked = true;
	if (bounds_check_reserve(reserve->bounds, request, &err) < 0)
		reserve->told(reserve->context, &err);
	else
		reserve_set(reserve, request->memory_bytes, request->cpu_usec);
}

void reserve_stop(struct reserve *reserve)
{
	if (reserve->pid == 0)
		return;
	loop_remove(reserve->loop, &reserve->source);
	fd_closep(&reserve->source.fd);
	reserve->pid = 0;
}
