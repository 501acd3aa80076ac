/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Currencies and the places of their minor units, as ISO 4217 lists them (with its amendments
 * up to that of 2026, by which BGN is none any more). Codes of metals, of funds and for tests
 * are not money that anybody pays with; those of funds whose places are not two are kept.
 */
#include <string.h>

#include <base/fd.h>

#include "prices.h"

#define CODE_LENGTH (POLICY_CURRENCY_BYTES_MAX - 1)

/* Codes with one blank between them, by the places of their minor unit. */
static const struct {
	int exponent;
	const char *codes;
} rows[] = {
	{ 0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF" },
	{ 2, "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN "
	     "BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
	     "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD "
	     "KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN "
	     "NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG "
	     "SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH "
	     "USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG" },
	{ 3, "BHD IQD JOD KWD LYD OMR TND" },
	{ 4, "CLF UYW" },
};

int policy_currency_exponent(const char *currency)
{
	if (strlen(currency) != CODE_LENGTH)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (const char *code = rows[i].codes;; code += CODE_LENGTH + 1) {
			if (strncmp(code, currency, CODE_LENGTH) == 0)
				return rows[i].exponent;
			if (code[CODE_LENGTH] == '\0')
				break;
		}
	return -EINVAL;
}
