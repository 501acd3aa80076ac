/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenant-logger: keeps what detached executions write. A unit of its own, with no privilege,
 * that reads pipes and writes to files which tenant-controller has opened; it opens nothing
 * itself. tenantd and tenant-controller may go and come again, and so may it: what it has is
 * also with the service manager.
 */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <base/log.h>

#include "manager.h"
#include "output.h"

#define BACKLOG         512
#define MESSAGE_SECONDS 1

struct logger {
	struct loop *loop;
	struct outputs *outputs;
	struct loop_source *listener, *term, *interrupt;
	int listen_fd;
};

static bool is_ours(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

/* It is sent as soon as the connection is there, by one of us: that is not waited for in vain.
 */
static int take_one(struct logger *logger, int fd, struct tn_error *err)
{
	const struct timeval most = { .tv_sec = MESSAGE_SECONDS };
	struct handover message = { 0 };
	int fds[HANDOVER_FDS_N] = { FD_NONE, FD_NONE, FD_NONE };
	size_t fds_n = 0;
	int n;

	if (!is_ours(fd))
		return err_refuse(err, TN_NOT_PERMITTED, "a stranger is at the socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) < 0)
		return err_errno(err, "take an output");
	n = fdpass_recv(fd, &message, sizeof(message), fds, HANDOVER_FDS_N, &fds_n, err);
	if (n < 0)
		return n;
	if (n != (int)sizeof(message) || message.magic != HANDOVER_MAGIC ||
	    fds_n != HANDOVER_FDS_N) {
		fdpass_close(fds, fds_n);
		return err_set(err, TN_PROTOCOL, EPROTO, "another version is at the socket");
	}
	return outputs_take(logger->outputs, fds, false, err);
}

static void on_connection(void *userdata, uint32_t events)
{
	struct logger *logger = userdata;
	cleanup_fd int fd = accept4(logger->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct tn_error err = { 0 };

	(void)events;
	if (fd >= 0 && take_one(logger, fd, &err) < 0)
		log_event(LOG_ERR, "an output is not taken", LF_STR("error", err.msg), LF_END);
}

static void on_term(void *userdata, uint32_t events)
{
	struct logger *logger = userdata;

	(void)events;
	loop_stop(logger->loop, EXIT_SUCCESS);
}

/* @path is NULL where the service manager was to bring the socket. */
static int listen_at(const char *path, int *ret_fd, struct tn_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (path == NULL)
		return err_refuse(err, TN_INVALID,
		                  "no socket: start tenantd-logger.socket, or use --listen");
	if (strlen(path) >= sizeof(address.sun_path))
		return err_refuse(err, TN_INVALID, "%s: too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_errno(err, "listen at %s: %s", path, strerror(errno));
	*ret_fd = fd_take(&fd);
	return 0;
}

/* The socket, and what a logger before us had. */
static void take_handed(void *userdata, const char *name, int fd, bool listens)
{
	struct logger *logger = userdata;

	if (listens && logger->listen_fd < 0)
		logger->listen_fd = fd;
	else
		outputs_restore(logger->outputs, name, fd);
}

static int start(struct logger *logger, const char *path, struct tn_error *err)
{
	int r = loop_new(&logger->loop, err);

	if (r == 0)
		r = outputs_new(&logger->outputs, logger->loop, err);
	if (r == 0)
		r = manager_handed(take_handed, logger, err);
	if (r == 0)
		outputs_restored(logger->outputs);
	if (r == 0 && logger->listen_fd < 0)
		r = listen_at(path, &logger->listen_fd, err);
	if (r == 0)
		r = loop_watch(logger->loop, logger->listen_fd, EPOLLIN,
		               (struct loop_handler){ on_connection, logger },
		               &logger->listener, err);
	if (r == 0)
		r = loop_signal(logger->loop, SIGTERM, (struct loop_handler){ on_term, logger },
		                &logger->term, err);
	if (r == 0)
		r = loop_signal(logger->loop, SIGINT, (struct loop_handler){ on_term, logger },
		                &logger->interrupt, err);
	return r;
}

static void end(struct logger *logger)
{
	logger->interrupt = loop_source_free(logger->interrupt);
	logger->term = loop_source_free(logger->term);
	logger->listener = loop_source_free(logger->listener);
	logger->outputs = outputs_free(logger->outputs);
	logger->loop = loop_free(logger->loop);
	fd_closep(&logger->listen_fd);
}

static int options_parse(int argc, char **argv, const char **ret_path)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'V') {
			(void)puts("tenant-logger " TENANTD_VERSION);
			exit(EXIT_SUCCESS);
		}
		if (option != 'l')
			return -EINVAL;
		*ret_path = optarg;
	}
	return optind == argc ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct logger logger = { .listen_fd = FD_NONE };
	struct tn_error err = { 0 };
	const char *path = NULL;
	int r;

	if (options_parse(argc, argv, &path) < 0) {
		(void)fprintf(stderr, "Usage: %s [--listen PATH]\n", argv[0]);
		return EXIT_FAILURE;
	}
	/* A file that has grown to its limit, and a log that nobody reads, must not end us. */
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	r = start(&logger, path, &err);
	if (r == 0) {
		manager_say_ready();
		r = loop_run(logger.loop, &err);
	}
	if (r < 0)
		log_event(LOG_ERR, "cannot go on", LF_STR("error", err.msg), LF_END);
	end(&logger);
	return r < 0 ? EXIT_FAILURE : r;
}
