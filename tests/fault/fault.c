/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between isolate/ and the kernel: every call is noted, and one of them fails.
 *
 * A call is known by where it is made and how often it was made there before; so the same one
 * is meant each time, whichever of our processes gets to it first. What is noted and what is to
 * fail stands in a file that all of them have mapped (TN_FAULT names it, run.py is at the other
 * end): it is there between clone and exec too, and noting costs no call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "gate.h"

#define SITES_MAX 2048

enum kind {
	FAILS,
	NULLS,
	DONE,
	SURE
};

/* As run.py reads it. */
struct site {
	uint64_t at;   /* where from the beginning of the program; 0: unused */
	uint32_t call; /* its row, or of raw ones their number with RAW */
	uint32_t n;
};

#define RAW 0x80000000u

struct shared {
	uint32_t armed; /* 0: nothing is noted */
	uint32_t fired;
	uint64_t at;  /* what is to fail; 0: nothing */
	uint32_t nth; /* from 1 on */
	uint32_t pad;
	struct site sites[SITES_MAX];
};

#define ROW(name, kind, error) { #name, kind, error },
static const struct {
	const char *name;
	enum kind kind;
	int error;
} rows[] = { FAULT_CALLS(ROW) };

#define NUMBER(name, kind, error) CALL_##name,
enum {
	FAULT_CALLS(NUMBER) CALLS_N
};

static struct shared *shared;

extern const char __executable_start;

__attribute__((constructor)) static void fault_map(void)
{
	const char *path = getenv("TN_FAULT");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	shared = at == MAP_FAILED ? NULL : at;
	(void)close(fd);
}

static struct site *site_of(uint64_t at)
{
	for (size_t i = 0, place = at; i < SITES_MAX; i++, place++) {
		struct site *site = &shared->sites[place % SITES_MAX];
		uint64_t none = 0;

		if (__atomic_load_n(&site->at, __ATOMIC_ACQUIRE) == at)
			return site;
		if (__atomic_compare_exchange_n(&site->at, &none, at, false, __ATOMIC_ACQ_REL,
		                                __ATOMIC_ACQUIRE) ||
		    none == at)
			return site;
	}
	abort();
}

/* Note the call, made at @from. Whether it is to fail. */
static bool is_due(uint32_t call, const void *from)
{
	const uint64_t at = (uint64_t)((const char *)from - &__executable_start);
	struct site *site;
	uint32_t n;

	if (shared == NULL || __atomic_load_n(&shared->armed, __ATOMIC_ACQUIRE) == 0)
		return false;
	site = site_of(at);
	site->call = call;
	n = __atomic_add_fetch(&site->n, 1, __ATOMIC_ACQ_REL);
	if (shared->at != at || shared->nth != n)
		return false;
	__atomic_store_n(&shared->fired, 1, __ATOMIC_RELEASE);
	return true;
}

/* What has the number @n and cannot fail as it is called here: futex(2) on words of ours, the
 * end of a process, its signals and its clock. */
static bool is_sure(long n)
{
	return n == SYS_futex || n == SYS_exit_group || n == SYS_rt_sigprocmask ||
	       n == SYS_rt_sigaction || n == SYS_clock_gettime;
}

static int errno_of(long n)
{
	switch (n) {
	case SYS_clone:
	case SYS_clone3:
	case SYS_setresuid:
	case SYS_setresgid:
		return EAGAIN;
	case SYS_pidfd_open:
		return EMFILE;
	case SYS_pidfd_send_signal:
		return ESRCH;
	case SYS_write:
		return ENOSPC;
	case SYS_ioctl:
		return EIO;
	default:
		return ENOMEM;
	}
}

long fault_gate(long n)
{
	if (is_sure(n) || !is_due(RAW | (uint32_t)n, __builtin_return_address(0)))
		return 0;
	return -errno_of(n);
}

/* To take something out of a set does not fail. */
static bool spared(uint32_t call, long a, long b)
{
	return rows[call].kind == SURE || (call == CALL_epoll_ctl && b == EPOLL_CTL_DEL) ||
	       (call == CALL_syscall && is_sure(a));
}

typedef long call_fn(long a, long b, long c, long d, long e, long f, long g);

/* Whatever a call takes and gives is in registers, and the seventh of clone(2) behind them. */
static long pass(uint32_t call, const void *from, call_fn *real, const long args[static 7])
{
	if (spared(call, args[0], args[1]) || !is_due(call, from))
		return real(args[0], args[1], args[2], args[3], args[4], args[5], args[6]);
	if (rows[call].kind == DONE)
		(void)real(args[0], args[1], args[2], args[3], args[4], args[5], args[6]);
	errno = call == CALL_syscall ? errno_of(args[0]) : rows[call].error;
	return rows[call].kind == NULLS ? 0 : -1;
}

#define WRAP(name, kind, error)                                                                \
	call_fn __real_##name;                                                                 \
	call_fn __wrap_##name;                                                                 \
	long __wrap_##name(long a, long b, long c, long d, long e, long f, long g)             \
	{                                                                                      \
		return pass(CALL_##name, __builtin_return_address(0), __real_##name,           \
		            (const long[]){ a, b, c, d, e, f, g });                            \
	}

FAULT_CALLS(WRAP)
