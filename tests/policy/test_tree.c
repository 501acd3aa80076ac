/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy/tree.c: what libseccomp makes and what comes of it are followed side by side, by an
 * interpreter of the few instructions there are, for every number and many arguments.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <seccomp.h>

#include <base/fd.h>
#include <policy/tree.h>

TestSuite(policy_tree, .timeout = 60);

#define INSNS_MAX 4096

struct program {
	struct sock_filter insns[INSNS_MAX];
	size_t n;
};

static bool compare(const struct sock_filter *insn, uint32_t a)
{
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return a == insn->k;
	case BPF_JGT:
		return a > insn->k;
	case BPF_JGE:
		return a >= insn->k;
	case BPF_JSET:
		return (a & insn->k) != 0;
	default:
		cr_assert(false, "jump %#x", insn->code);
		return false;
	}
}

static uint32_t answer(const struct program *program, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t at = 0; at < program->n; at++) {
		const struct sock_filter *insn = &program->insns[at];

		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
			memcpy(&a, (const char *)data + insn->k, sizeof(a));
			break;
		case BPF_ALU:
			cr_assert_eq(insn->code, BPF_ALU | BPF_AND | BPF_K);
			a &= insn->k;
			break;
		case BPF_JMP:
			if (insn->code == (BPF_JMP | BPF_JA))
				at += insn->k;
			else
				at += compare(insn, a) ? insn->jt : insn->jf;
			break;
		default:
			cr_assert_eq(insn->code, BPF_RET | BPF_K);
			return insn->k;
		}
	}
	cr_assert(false, "ran off the end");
	return 0;
}

/* Rules of every kind there is, for numbers that lie apart and side by side. */
static void export(struct program *ret, uint32_t optimize)
{
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t bytes;

	cr_assert_not_null(context);
	cr_assert_eq(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, optimize), 0);
	cr_assert_eq(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
	             0);
	for (int nr = 0; nr < 450; nr++)
		if (nr % 7 < 5 && nr != SCMP_SYS(ioctl) && nr != SCMP_SYS(socket))
			(void)seccomp_rule_add(context, SCMP_ACT_ALLOW, nr, 0);
	for (uint64_t family = 0; family < 20; family += 3)
		cr_assert_eq(seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
		                              SCMP_A0(SCMP_CMP_EQ, family, 0)),
		             0);
	for (uint64_t bit = 0; bit < 32; bit += 2)
		cr_assert_eq(
			seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 2,
		                         SCMP_A1(SCMP_CMP_MASKED_EQ, UINT64_C(1) << bit, 0),
		                         SCMP_A2(SCMP_CMP_GT, bit, 0)),
			0);
	cr_assert_eq(seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), 451, 0), 0);
	cr_assert_eq(seccomp_export_bpf(context, fd), 0);
	bytes = pread(fd, ret->insns, sizeof(ret->insns), 0);
	cr_assert_gt(bytes, 0);
	ret->n = (size_t)bytes / sizeof(ret->insns[0]);
	seccomp_release(context);
	(void)close(fd);
}

static void expect_same(const struct program *a, const struct program *b, uint32_t arch,
                        uint32_t nr)
{
	struct seccomp_data data = { .nr = (int)nr, .arch = arch };

	for (uint64_t i = 0; i < 80; i++) {
		data.args[0] = i % 21;
		data.args[1] = i * UINT64_C(0x9e3779b97f4a7c15);
		data.args[2] = i % 40;
		cr_assert_eq(answer(a, &data), answer(b, &data), "number %#x, case %d", nr,
		             (int)i);
	}
}

Test(policy_tree, decides_the_same_in_fewer_instructions)
{
	static struct program before, after;
	const uint32_t arch = seccomp_arch_native();

	for (uint32_t optimize = 1; optimize <= 2; optimize++) {
		export(&before, optimize);
		after.n = tree_rebuild(before.insns, before.n, NULL, 0, after.insns, INSNS_MAX);
		cr_assert_gt(after.n, 0);
		cr_expect_lt(after.n, before.n);
		cr_expect_eq(after.insns[after.n - 1].code, BPF_RET | BPF_K,
		             "the kernel takes no other end");
		for (uint32_t nr = 0; nr < 1100; nr++) {
			expect_same(&before, &after, arch, nr);
			expect_same(&before, &after, arch, 0x40000000 + nr);
			expect_same(&before, &after, AUDIT_ARCH_I386, nr);
		}
		for (uint32_t nr = UINT32_MAX; nr > UINT32_MAX - 10; nr--)
			expect_same(&before, &after, arch, nr);
	}
}

Test(policy_tree, leaves_alone_what_it_does_not_understand)
{
	static struct program before, after;
	struct sock_filter one = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	cr_expect_eq(tree_rebuild(&one, 1, NULL, 0, after.insns, INSNS_MAX), 0);
	export(&before, 2);
	cr_expect_eq(tree_rebuild(before.insns, before.n, NULL, 0, after.insns, 20), 0,
	             "no room");
	/* Arithmetic on the number. */
	memmove(before.insns + 4, before.insns + 3, (before.n - 3) * sizeof(before.insns[0]));
	before.insns[3] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff);
	cr_expect_eq(tree_rebuild(before.insns, before.n + 1, NULL, 0, after.insns, INSNS_MAX),
	             0);
	before.insns[0].k = 0;
	cr_expect_eq(tree_rebuild(before.insns, before.n, NULL, 0, after.insns, INSNS_MAX), 0);
}

Test(policy_tree, refuses_some_values_of_the_low_half_of_an_argument)
{
	static const uint32_t values[] = { 0x5412, 0x541c, 0, UINT32_MAX };
	static struct program before, after;
	const struct tree_refusal refusals[] = {
		{ SCMP_SYS(read), 1, values, ARRAY_LEN(values), SECCOMP_RET_ERRNO | EPERM },
		{ SCMP_SYS(lseek), 5, values, 1, SECCOMP_RET_ERRNO | ENOSYS },
	};

	export(&before, 2);
	after.n = tree_rebuild(before.insns, before.n, refusals, ARRAY_LEN(refusals),
	                       after.insns, INSNS_MAX);
	cr_assert_gt(after.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct seccomp_data data = { .nr = SCMP_SYS(read),
			                     .arch = seccomp_arch_native() };

		data.args[1] = values[i];
		cr_expect_eq(answer(&after, &data), SECCOMP_RET_ERRNO | EPERM);
		data.args[1] |= UINT64_C(1) << 63;
		cr_expect_eq(answer(&after, &data), SECCOMP_RET_ERRNO | EPERM, "a high bit");
		data.args[1] ^= 1 << 8;
		cr_expect_eq(answer(&after, &data), SECCOMP_RET_ALLOW);
		data.nr = SCMP_SYS(lseek);
		data.args[5] = values[i];
		cr_expect_eq(answer(&after, &data),
		             i == 0 ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_ALLOW);
	}
	for (uint32_t nr = 0; nr < 1100; nr++)
		if (nr != SCMP_SYS(read) && nr != SCMP_SYS(lseek))
			expect_same(&before, &after, seccomp_arch_native(), nr);
}

Test(policy_tree, refuses_nothing_of_what_is_not_allowed_whatever_the_arguments)
{
	static const uint32_t value = 1;
	static struct program before, after;
	struct tree_refusal refusal = { SCMP_SYS(socket), 1, &value, 1, SECCOMP_RET_TRAP };

	export(&before, 2);
	cr_expect_eq(tree_rebuild(before.insns, before.n, &refusal, 1, after.insns, INSNS_MAX),
	             0, "looks at its arguments");
	refusal.nr = 1000;
	cr_expect_eq(tree_rebuild(before.insns, before.n, &refusal, 1, after.insns, INSNS_MAX),
	             0, "is refused");
}
