/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#define MANAGER_TEXT_BYTES 128

void manager_keep(const char *name, int fd)
{
	char text[MANAGER_TEXT_BYTES];

	/* Without FDPOLL=0 a pipe whose writers have gone is dropped, with what is in it. */
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	(void)sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void manager_drop(const char *name)
{
	(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

int manager_handed(void (*take)(void *userdata, const char *name, int fd, bool listens),
                   void *userdata, struct tn_error *err)
{
	char **names = NULL;
	const int n = sd_listen_fds_with_names(1, &names);

	if (n < 0)
		return err_set(err, TN_SYSTEM, -n, "take what the service manager kept");
	for (int i = 0; i < n; i++) {
		const int fd = SD_LISTEN_FDS_START + i;

		take(userdata, names[i], fd, sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0);
		free(names[i]);
	}
	free(names);
	return 0;
}

void manager_say_ready(void)
{
	(void)sd_notify(0, "READY=1");
}
