/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A name service for nsswitch.conf(5), no workload: it knows one user, "op-hang", and while
 * /run/nss-hang is there it never answers a question about it.
 */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#define NAME "op-hang"
#define UID  61234

enum nss_status _nss_hang_getpwnam_r(const char *name, struct passwd *result, char *buffer,
                                     size_t size, int *errnop);

enum nss_status _nss_hang_getpwnam_r(const char *name, struct passwd *result, char *buffer,
                                     size_t size, int *errnop)
{
	if (strcmp(name, NAME) != 0)
		return NSS_STATUS_NOTFOUND;
	while (access("/run/nss-hang", F_OK) == 0)
		(void)sleep(1);
	if (size < sizeof(NAME)) {
		*errnop = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	memcpy(buffer, NAME, sizeof(NAME));
	*result = (struct passwd){ .pw_name = buffer,
		                   .pw_passwd = buffer,
		                   .pw_uid = UID,
		                   .pw_gid = UID,
		                   .pw_gecos = buffer,
		                   .pw_dir = buffer,
		                   .pw_shell = buffer };
	return NSS_STATUS_SUCCESS;
}
