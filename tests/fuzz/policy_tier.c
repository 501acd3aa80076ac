/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target: any bytes as a tier file. Either they are refused with a place and
 * a printable reason, or what comes out keeps every promise of tier.h.
 */
#include <stdlib.h>
#include <string.h>

#include <policy/limits.h>
#include <policy/tier.h>

#define FILE_NAME "tiers/free.yaml"

static struct policy_tier tier; /* large: not for the stack */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_limits(void)
{
	for (size_t i = 0; i < POLICY_LIMITS_N; i++) {
		const struct limits_row *row = limits_row(i);
		char text[64];
		int64_t value;

		memcpy(&value, (const char *)&tier.limits + i * sizeof(value), sizeof(value));
		require((row->unlimited && value == POLICY_UNLIMITED) ||
		        (value >= row->min && value <= row->max));
		policy_limit_text(&tier, i, text, sizeof(text));
		require(text[0] != '\0');
	}
	require(tier.limits.execution_memory_max_bytes <= tier.limits.memory_max_bytes);
	require(tier.limits.memory_high_bytes <= tier.limits.memory_max_bytes ||
	        tier.limits.memory_high_bytes == POLICY_UNLIMITED);
}

static void check_quotas(void)
{
	for (size_t i = 0; i < tier.quotas_n; i++) {
		const struct policy_quota *quota = &tier.quotas[i];
		char text[POLICY_AMOUNT_BYTES_MAX];
		int64_t again;

		require(i == 0 || strcmp(tier.quotas[i - 1].meter.name, quota->meter.name) < 0);
		require(quota->meter.limitable && quota->limit >= 0);
		require((quota->per == POLICY_PER_NONE) == (quota->meter.kind == METER_GAUGE));
		require(quota->on_exhaust == POLICY_EXHAUST_REFUSE ||
		        (quota->meter.live && quota->meter.source == METER_OF_KERNEL &&
		         quota->enforce == POLICY_ENFORCE_HARD));
		for (size_t j = 0; j < quota->warn_n; j++)
			require(quota->warn[j] > (j > 0 ? quota->warn[j - 1] : 0) &&
			        quota->warn[j] <= 100);
		policy_amount_format(quota->meter.unit, quota->limit, text, sizeof(text));
		require(policy_amount_parse(quota->meter.unit, text, &again) == 0 &&
		        again == quota->limit);
		require(strncmp(quota->text, text, strlen(text)) == 0);
	}
}

static void check_error(const struct tn_error *err)
{
	require(err->code == TN_INVALID && err->line > 0);
	require(strncmp(err->msg, FILE_NAME ":", strlen(FILE_NAME ":")) == 0);
	require(strchr(err->msg, ';') != NULL);
	for (const char *p = err->msg; *p != '\0'; p++)
		require(*p >= ' ' && *p <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tn_error err = { 0 };

	if (policy_tier_parse(FILE_NAME, (const char *)data, size, NULL, &tier, &err) < 0 ||
	    policy_tier_check(&tier, &err) < 0) {
		check_error(&err);
		return 0;
	}
	require(err.code == TN_OK);
	require(strcmp(tier.name, "free") == 0);
	require(tier.display_name[0] != '\0');
	for (size_t i = 0; i < tier.binds_allow_n; i++)
		require(tier.binds_allow[i][0] == '/' && tier.binds_allow[i][1] != '\0');
	check_limits();
	check_quotas();
	return 0;
}
