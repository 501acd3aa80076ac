/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link.h"

#include <errno.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>

static int nl_refuse(struct tn_error *err, int r, const char *what)
{
	return err_set(err, TN_SYSTEM, EIO, "%s: %s", what, nl_geterror(r));
}

static int loopback_change(struct nl_sock *sock, struct rtnl_link *up, struct tn_error *err)
{
	struct rtnl_link *lo = NULL;
	int r = rtnl_link_get_kernel(sock, 0, "lo", &lo);

	if (r < 0)
		return nl_refuse(err, r, "find the loopback interface");
	rtnl_link_set_flags(up, IFF_UP);
	r = rtnl_link_change(sock, lo, up, 0);
	rtnl_link_put(lo);
	return r < 0 ? nl_refuse(err, r, "bring the loopback interface up") : 0;
}

int link_loopback_up(struct tn_error *err)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct rtnl_link *up = rtnl_link_alloc();
	int r;

	if (sock == NULL || up == NULL)
		r = err_set(err, TN_SYSTEM, ENOMEM, "netlink socket");
	else if ((r = nl_connect(sock, NETLINK_ROUTE)) < 0)
		r = nl_refuse(err, r, "connect to rtnetlink");
	else
		r = loopback_change(sock, up, err);
	if (up != NULL)
		rtnl_link_put(up);
	nl_socket_free(sock);
	return r;
}
