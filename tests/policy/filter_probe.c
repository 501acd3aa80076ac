/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compiled and run under the default filter: starts a thread, which needs clone. */
#include <pthread.h>
#include <stddef.h>

static void *answer(void *argument)
{
	return argument;
}

int main(void)
{
	pthread_t thread;
	int value = 42;
	void *result = NULL;

	if (pthread_create(&thread, NULL, answer, &value) != 0)
		return 1;
	if (pthread_join(thread, &result) != 0)
		return 2;
	return result == &value ? 0 : 3;
}
