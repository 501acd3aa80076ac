/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signal_name.h"

#include <signal.h>
#include <string.h>

#include <base/err.h>
#include <base/num.h>

/* 0: nobody knows it. */
static int named(const char *name)
{
	static const char first_real_time[] = "RTMIN+";
	const size_t n = sizeof(first_real_time) - 1;
	int64_t above;

	if (strncmp(name, first_real_time, n) == 0 &&
	    num_parse(name + n, SIGRTMAX - SIGRTMIN, &above) == 0)
		return SIGRTMIN + (int)above;
	for (int number = 1; number < SIGRTMIN; number++) {
		const char *known = sigabbrev_np(number);

		if (known != NULL && strcmp(known, name) == 0)
			return number;
	}
	return 0;
}

int signal_name_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int64_t number;

	if (num_parse(text, SIGRTMAX, &number) < 0)
		number = named(strncmp(text, "SIG", 3) == 0 ? text + 3 : text);
	if (number == 0)
		return err_refuse(err, TN_INVALID,
		                  "'%s' is no signal; expected a name such as TERM, RTMIN+3, "
		                  "or a number from 1 to %d",
		                  text, SIGRTMAX);
	*ret = number;
	return 0;
}
