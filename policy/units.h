/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes, durations and shares of a CPU as people write them: in policy files and on
 * command lines alike, so that both read the same text as the same number.
 *
 * The whole text or nothing: no sign, no blank around it, no binary floating point.
 * *ret is written only on success; failure is -EINVAL and a message that quotes the
 * text and says what was expected. "max" is no unit: who allows it compares first.
 */
#ifndef POLICY_UNITS_H
#define POLICY_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include <base/err.h>

/* Written as "max" by the formatters; no parser returns it. */
#define UNITS_UNLIMITED INT64_MAX

/* Enough for whatever a formatter writes, with the NUL. */
#define UNITS_TEXT_BYTES_MAX 64

/* A share of a CPU is held in microseconds of running time per this period. */
#define UNITS_CPU_PERIOD_USEC 100000
/* What cpu.max takes: the kernel refuses less than a millisecond per period. */
#define UNITS_CPU_QUOTA_USEC_MIN 1000
#define UNITS_CPU_QUOTA_USEC_MAX 1000000000 /* 10,000 CPUs */

/* Decimal digits alone. */
int units_count_parse(const char *text, int64_t *ret, struct tn_error *err);

/* Digits and at most one of K, M, G, T, which are powers of 1024: "512M". */
int units_bytes_parse(const char *text, int64_t *ret, struct tn_error *err);

/* As systemd.time(7) writes spans, in microseconds: "90s", "1h30min", "2h 30min". Units
 * us, ms, s, min (or m), h, d, w, the larger first; a number alone is seconds. */
int units_duration_parse(const char *text, int64_t *ret, struct tn_error *err);

/* Percent of one CPU, with at most three decimals: "200%" is two CPUs. Returns
 * microseconds per UNITS_CPU_PERIOD_USEC, within UNITS_CPU_QUOTA_USEC_MIN and _MAX. */
int units_percent_parse(const char *text, int64_t *ret, struct tn_error *err);

/* CPUs, with at most five decimals: "0.5". Returns what units_percent_parse() does. */
int units_cpus_parse(const char *text, int64_t *ret, struct tn_error *err);

/* Each writes @value exactly, so that its parser reads the same number back; "max" for
 * UNITS_UNLIMITED. @value is not negative, @size at least UNITS_TEXT_BYTES_MAX. */
void units_count_format(int64_t value, char *text, size_t size);
void units_bytes_format(int64_t value, char *text, size_t size);
void units_duration_format(int64_t usec, char *text, size_t size);
void units_percent_format(int64_t quota_usec, char *text, size_t size);

#endif
