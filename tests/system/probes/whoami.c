/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the three user ids, the three group ids and the permitted capabilities. */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	uid_t uids[3];
	gid_t gids[3];

	if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 ||
	    getresgid(&gids[0], &gids[1], &gids[2]) < 0 ||
	    syscall(SYS_capget, &header, data) < 0)
		return 1;
	printf("%u %u %u %u %u %u %x%08x\n", uids[0], uids[1], uids[2], gids[0], gids[1],
	       gids[2], data[1].permitted, data[0].permitted);
	return 0;
}
