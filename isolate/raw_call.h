/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls without a libc: what they return is what the kernel returns, -errno too. */
#ifndef ISOLATE_RAW_CALL_H
#define ISOLATE_RAW_CALL_H

/* Never a function of its own: with the memory shared, as vfork(2) does it, the child would
 * return from it and leave another's return address to its parent. */
#define CALL_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
CALL_INLINE long call6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
	                 : "=a"(ret)
	                 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
CALL_INLINE long call6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
	                 : "memory");
	return x0;
}
#else
#error "there is no system call entry for this architecture"
#endif

/* Who fails calls one after the other in a test gives it: -errno instead of the call numbered
 * n, or 0 to let it through. */
#ifndef CALL_GATE
#define CALL_GATE(n) 0L
#endif

CALL_INLINE long call4(long n, long a, long b, long c, long d)
{
	const long refused = CALL_GATE(n);

	return refused != 0 ? refused : call6(n, a, b, c, d, 0, 0);
}

#define CALL(n, a, b, c, d) call4((n), (long)(a), (long)(b), (long)(c), (long)(d))

#endif
