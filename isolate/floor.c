/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory: the table below is turned into a binary search over system call numbers, with
 * the few calls whose arguments matter in blocks behind it. The kernel walks the program
 * once per system call number each time it is loaded, to learn which calls it need not be
 * asked about again; a search, wide ranges first, makes that walk, which every launch pays,
 * short. So does that a policy which begins as ours does, with the architecture and the number,
 * is entered behind that.
 *
 * It is assembled here and not by libseccomp because "any of these bits", which is what
 * clone's namespace flags ask, is one instruction of BPF and seven rules of libseccomp,
 * because the numbers of newer calls must not depend on what a library of the build machine
 * knows, and because the program that runs as root should not link a compiler of filters.
 *
 * Assembly goes backwards, from the returns to the prologue: a jump of BPF only leads
 * forward, so its targets are already there.
 */
#include "floor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <base/fd.h>
#include <base/halve.h>

#if defined(__x86_64__)
#define FLOOR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FLOOR_ARCH AUDIT_ARCH_AARCH64
#else
#error "the floor filter does not know this architecture's audit number"
#endif

/* Not in <sys/ioctl.h>: paste and more into the virtual console, as its user. */
#define FLOOR_TIOCLINUX 0x541C

/* Newer than the headers of Debian 12; their numbers are one for all architectures. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

/* Numbers from here on are x32's, but for -1, which is nobody's and left to the policy. */
#define FLOOR_X32_BIT 0x40000000u
#define FLOOR_NR_NONE 0xffffffffu

/* CLONE_NEWTIME is a signal's number in clone's flags and means nothing there. */
#define FLOOR_NAMESPACES                                                                       \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |         \
	 CLONE_NEWPID | CLONE_NEWNET)

#define FLOOR_SET_ID (S_ISUID | S_ISGID)
/* Of open's flags: a file may be made, so that its mode counts. O_TMPFILE holds another's. */
#define FLOOR_MAKES ((uint32_t)(O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))

enum floor_target {
	FLOOR_ALLOW,
	FLOOR_PASS, /* the same, where nothing but the number has been loaded */
	FLOOR_KILL,
	FLOOR_EPERM,
	FLOOR_EINVAL,
	FLOOR_ENOSYS,
	FLOOR_CLONE, /* blocks that look at arguments */
	FLOOR_SOCKET,
	FLOOR_IOCTL,
	FLOOR_SETRLIMIT,
	FLOOR_PRLIMIT,
	FLOOR_MODE_1, /* a mode as the second argument, and so on */
	FLOOR_MODE_2,
	FLOOR_MODE_3,
	FLOOR_OPEN,
	FLOOR_OPENAT,
	FLOOR_TARGETS_N,
};

struct floor_row {
	uint32_t nr;
	enum floor_target target;
};

static const struct floor_row rows[] = {
	/* Mounts. */
	{ SYS_mount, FLOOR_EPERM },
	{ SYS_umount2, FLOOR_EPERM },
	{ SYS_pivot_root, FLOOR_EPERM },
	{ SYS_open_tree, FLOOR_EPERM },
	{ SYS_open_tree_attr, FLOOR_EPERM },
	{ SYS_move_mount, FLOOR_EPERM },
	{ SYS_fsopen, FLOOR_EPERM },
	{ SYS_fsconfig, FLOOR_EPERM },
	{ SYS_fsmount, FLOOR_EPERM },
	{ SYS_fspick, FLOOR_EPERM },
	{ SYS_mount_setattr, FLOOR_EPERM },
	/* Namespaces. */
	{ SYS_unshare, FLOOR_EPERM },
	{ SYS_setns, FLOOR_EPERM },
	{ SYS_clone, FLOOR_CLONE },
	{ SYS_clone3, FLOOR_ENOSYS },
	/* Parts of the kernel that are large, rarely needed and often broken. */
	{ SYS_bpf, FLOOR_EPERM },
	{ SYS_perf_event_open, FLOOR_EPERM },
	{ SYS_add_key, FLOOR_EPERM },
	{ SYS_request_key, FLOOR_EPERM },
	{ SYS_keyctl, FLOOR_EPERM },
	{ SYS_io_uring_setup, FLOOR_EPERM },
	{ SYS_io_uring_enter, FLOOR_EPERM },
	{ SYS_io_uring_register, FLOOR_EPERM },
	{ SYS_userfaultfd, FLOOR_EPERM },
	{ SYS_socket, FLOOR_SOCKET },
	/* Other processes: tenant-init has the workload's uid. */
	{ SYS_ptrace, FLOOR_EPERM },
	{ SYS_process_vm_readv, FLOOR_EPERM },
	{ SYS_process_vm_writev, FLOOR_EPERM },
	{ SYS_pidfd_getfd, FLOOR_EPERM },
	/* Another kernel, or more of this one. */
	{ SYS_kexec_load, FLOOR_EPERM },
	{ SYS_kexec_file_load, FLOOR_EPERM },
	{ SYS_init_module, FLOOR_EPERM },
	{ SYS_finit_module, FLOOR_EPERM },
	{ SYS_delete_module, FLOOR_EPERM },
	/* A terminal's input; core dumps. */
	{ SYS_ioctl, FLOOR_IOCTL },
#ifdef SYS_setrlimit
	{ SYS_setrlimit, FLOOR_SETRLIMIT },
#endif
	{ SYS_prlimit64, FLOOR_PRLIMIT },
};

/* What gives a file its mode: beside the rows above where files are the host's. */
static const struct floor_row mode_rows[] = {
#ifdef SYS_open
	{ SYS_open, FLOOR_OPEN },        { SYS_creat, FLOOR_MODE_1 },
	{ SYS_chmod, FLOOR_MODE_1 },     { SYS_mknod, FLOOR_MODE_1 },
#endif
	{ SYS_openat, FLOOR_OPENAT },    { SYS_openat2, FLOOR_ENOSYS },
	{ SYS_fchmod, FLOOR_MODE_1 },    { SYS_fchmodat, FLOOR_MODE_2 },
	{ SYS_fchmodat2, FLOOR_MODE_2 }, { SYS_mknodat, FLOOR_MODE_2 },
};

/* A stretch of numbers that go to one target, up to the next one's first. */
struct stretch {
	uint32_t first;
	size_t label;
};

#define FLOOR_STRETCHES_MAX (2 * (ARRAY_LEN(rows) + ARRAY_LEN(mode_rows)) + 1)

static size_t put(struct floor *floor, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	assert(floor->first > 0);
	floor->code[--floor->first] = (struct sock_filter){ code, jt, jf, k };
	return floor->first;
}

static size_t give(struct floor *floor, uint32_t value)
{
	return put(floor, BPF_RET | BPF_K, value, 0, 0);
}

static size_t load(struct floor *floor, size_t offset)
{
	return put(floor, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* The 32 bits of an argument that the kernel reads of it where it takes an int. */
static size_t load_low(struct floor *floor, size_t argument)
{
	static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");
	return load(floor, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
}

static size_t load_high(struct floor *floor, size_t argument)
{
	return load(floor, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) +
	                           sizeof(uint32_t));
}

static size_t jump(struct floor *floor, uint16_t test, uint32_t k, size_t yes, size_t no)
{
	const size_t next = floor->first;

	assert(yes >= next && yes - next <= UINT8_MAX && no >= next && no - next <= UINT8_MAX);
	return put(floor, BPF_JMP | BPF_K | test, k, (uint8_t)(yes - next),
	           (uint8_t)(no - next));
}

/* To @refuse if the low half of @argument is one of two values. */
static size_t either(struct floor *floor, size_t argument, const uint32_t values[2],
                     const size_t *labels)
{
	size_t second = jump(floor, BPF_JEQ, values[1], labels[FLOOR_EPERM],
	                     labels[FLOOR_ALLOW]);

	(void)jump(floor, BPF_JEQ, values[0], labels[FLOOR_EPERM], second);
	return load_low(floor, argument);
}

static size_t core_limit(struct floor *floor, size_t argument, const size_t *labels)
{
	(void)jump(floor, BPF_JEQ, RLIMIT_CORE, labels[FLOOR_EINVAL], labels[FLOOR_ALLOW]);
	return load_low(floor, argument);
}

/* prlimit64(pid, resource, new, old) only asks if @new, all 64 bits of it, is NULL. */
static size_t core_prlimit(struct floor *floor, const size_t *labels)
{
	size_t core = core_limit(floor, 1, labels);
	size_t high;

	(void)jump(floor, BPF_JEQ, 0, labels[FLOOR_ALLOW], core);
	high = load_high(floor, 2);
	(void)jump(floor, BPF_JEQ, 0, high, core);
	return load_low(floor, 2);
}

static size_t mode(struct floor *floor, size_t argument, const size_t *labels)
{
	(void)jump(floor, BPF_JSET, FLOOR_SET_ID, labels[FLOOR_EPERM], labels[FLOOR_ALLOW]);
	return load_low(floor, argument);
}

/* The mode, which @given looks at, only counts if the flags may make a file. */
static size_t mode_if_made(struct floor *floor, size_t flags, size_t given,
                           const size_t *labels)
{
	(void)jump(floor, BPF_JSET, FLOOR_MAKES, given, labels[FLOOR_ALLOW]);
	return load_low(floor, flags);
}

static void mode_blocks_make(struct floor *floor, size_t *labels)
{
	labels[FLOOR_MODE_1] = mode(floor, 1, labels);
	labels[FLOOR_MODE_2] = mode(floor, 2, labels);
	labels[FLOOR_MODE_3] = mode(floor, 3, labels);
	labels[FLOOR_OPEN] = mode_if_made(floor, 1, labels[FLOOR_MODE_2], labels);
	labels[FLOOR_OPENAT] = mode_if_made(floor, 2, labels[FLOOR_MODE_3], labels);
}

static void blocks_make(struct floor *floor, size_t *labels)
{
	static const uint32_t families[] = { AF_VSOCK, AF_ALG };
	static const uint32_t commands[] = { TIOCSTI, FLOOR_TIOCLINUX };

	labels[FLOOR_KILL] = give(floor, SECCOMP_RET_KILL_PROCESS);
	labels[FLOOR_ENOSYS] = give(floor, SECCOMP_RET_ERRNO | ENOSYS);
	labels[FLOOR_EINVAL] = give(floor, SECCOMP_RET_ERRNO | EINVAL);
	labels[FLOOR_EPERM] = give(floor, SECCOMP_RET_ERRNO | EPERM);
	/* Behind the end, where the policy comes; see floor_join(). */
	labels[FLOOR_ALLOW] = put(floor, BPF_JMP | BPF_JA,
	                          (uint32_t)(FLOOR_INSNS_MAX - floor->first), 0, 0);
	labels[FLOOR_PASS] = floor->pass = put(
		floor, BPF_JMP | BPF_JA, (uint32_t)(FLOOR_INSNS_MAX - floor->first), 0, 0);

	(void)jump(floor, BPF_JSET, FLOOR_NAMESPACES, labels[FLOOR_EPERM], labels[FLOOR_ALLOW]);
	labels[FLOOR_CLONE] = load_low(floor, 0);
	labels[FLOOR_SOCKET] = either(floor, 0, families, labels);
	labels[FLOOR_IOCTL] = either(floor, 1, commands, labels);
	labels[FLOOR_SETRLIMIT] = core_limit(floor, 0, labels);
	labels[FLOOR_PRLIMIT] = core_prlimit(floor, labels);
}

static const struct floor_row *lower(const struct floor_row *found, const struct floor_row *row,
                                     uint32_t nr)
{
	return row->nr >= nr && (found == NULL || row->nr < found->nr) ? row : found;
}

/* The row of the lowest number from @nr on, or NULL. */
static const struct floor_row *row_from(uint32_t nr, bool host_files)
{
	const struct floor_row *found = NULL;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		found = lower(found, &rows[i], nr);
	for (size_t i = 0; host_files && i < ARRAY_LEN(mode_rows); i++)
		found = lower(found, &mode_rows[i], nr);
	return found;
}

/* Every number from 0 on, in ascending stretches; neighbours of one target are one. */
static size_t stretches_make(const size_t *labels, bool host_files, struct stretch *ret)
{
	const struct floor_row *row;
	size_t n = 0;
	uint32_t nr = 0;

	ret[n++] = (struct stretch){ 0, labels[FLOOR_PASS] };
	while ((row = row_from(nr, host_files)) != NULL) {
		if (row->nr > nr && ret[n - 1].label != labels[FLOOR_PASS])
			ret[n++] = (struct stretch){ nr, labels[FLOOR_PASS] };
		if (ret[n - 1].label != labels[row->target])
			ret[n++] = (struct stretch){ row->nr, labels[row->target] };
		nr = row->nr + 1;
	}
	ret[n++] = (struct stretch){ nr, labels[FLOOR_PASS] };
	return n;
}

static uint32_t stretch_first(const void *stretches, size_t i)
{
	const struct stretch *all = stretches;

	return all[i].first;
}

/* Of all @n, those from @first to before @end may still be meant: halve them until it is one.
 */
static size_t search_make(struct floor *floor, const struct stretch *stretches, size_t n,
                          size_t first, size_t end)
{
	size_t middle, above, below;

	if (end - first == 1)
		return stretches[first].label;
	middle = halve(stretches, stretch_first, n, first, end);
	above = search_make(floor, stretches, n, middle, end);
	below = search_make(floor, stretches, n, first, middle);
	return jump(floor, BPF_JGE, stretches[middle].first, above, below);
}

static void floor_make(struct floor *floor, bool host_files)
{
	struct stretch stretches[FLOOR_STRETCHES_MAX];
	size_t labels[FLOOR_TARGETS_N] = { 0 }, n, search, begin;

	floor->first = FLOOR_INSNS_MAX;
	blocks_make(floor, labels);
	if (host_files)
		mode_blocks_make(floor, labels);
	n = stretches_make(labels, host_files, stretches);
	search = search_make(floor, stretches, n, 0, n);
#ifdef __x86_64__
	begin = jump(floor, BPF_JEQ, FLOOR_NR_NONE, labels[FLOOR_PASS], labels[FLOOR_KILL]);
	(void)jump(floor, BPF_JGE, FLOOR_X32_BIT, begin, search);
#else
	assert(search == floor->first);
#endif
	begin = load(floor, offsetof(struct seccomp_data, nr));
	(void)jump(floor, BPF_JEQ, FLOOR_ARCH, begin, labels[FLOOR_KILL]);
	(void)load(floor, offsetof(struct seccomp_data, arch));
}

void floors_make(struct floors *floors)
{
	floor_make(&floors->usual, false);
	floor_make(&floors->host_files, true);
}

static_assert(FLOOR_INSNS_MAX + SPEC_FILTER_INSNS_MAX == BPF_MAXINSNS,
              "both together are a program that the kernel takes");

/*
 * How much of @policy only finds out what the floor has found out: that the architecture is
 * ours, and the number. What it does with it is its own business.
 */
static uint32_t head_known(const struct sock_fprog *policy)
{
	const struct sock_filter *code = policy->filter;
	size_t number;

	if (policy->len < 2 || code[0].code != (BPF_LD | BPF_W | BPF_ABS) ||
	    code[0].k != offsetof(struct seccomp_data, arch) ||
	    code[1].code != (BPF_JMP | BPF_K | BPF_JEQ) || code[1].k != FLOOR_ARCH)
		return 0;
	number = 2 + (size_t)code[1].jt;
	if (number + 1 >= policy->len || code[number].code != (BPF_LD | BPF_W | BPF_ABS) ||
	    code[number].k != offsetof(struct seccomp_data, nr))
		return 0;
	return (uint32_t)number + 1;
}

size_t floor_join(const struct floor *floor, const struct sock_fprog *policy,
                  struct sock_filter *code)
{
	const size_t n = FLOOR_INSNS_MAX - floor->first;

	assert(policy->len <= SPEC_FILTER_INSNS_MAX);
	memcpy(code, floor->code + floor->first, n * sizeof(*code));
	memcpy(code + n, policy->filter, policy->len * sizeof(*code));
	code[floor->pass - floor->first].k += head_known(policy);
	return n + policy->len;
}
