/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenant-controller: the unprivileged half of the daemon, started by tenantd with the
 * channel between them as descriptor 3 and the listening control socket as 4.
 *
 * It keeps nothing that it could lose: what runs, tenantd knows; what was used, the
 * kernel, tenantd's records and the store know. So it may die at any time.
 */
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>

#include <base/backup.h>
#include <base/fd.h>
#include <base/fdpass.h>
#include <base/log.h>

#include "context.h"

#define ADMIN_GROUP        "tenantd-admin"
#define POLICY_DIR_DEFAULT "/etc/tenantd"
#define STORE_DIR_DEFAULT  "/var/lib/tenantd/store"

struct controller {
	struct loop *loop;
	struct context *context;
	struct loop_source *term;
	struct loop_source *interrupt;
	struct loop_source *hangup;
};

/* Whether there is or was any tenant, by the exit status: what a restore may replace. */
static int store_check(const char *dir)
{
	struct store_figures figures = { 0 };
	struct tn_error err = { 0 };
	struct store *store;
	int r = store_sqlite_open(dir, &store, &err);

	if (r == 0) {
		r = store->ops->figures(store, &figures, &err);
		store->ops->close(store);
	}
	if (r < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return EXIT_FAILURE;
	}
	return figures.used ? BACKUP_STORE_USED : EXIT_SUCCESS;
}

static int options_parse(int argc, char **argv, struct context_config *config, bool *ret_check)
{
	static const struct option options[] = {
		{ "policy-dir", required_argument, NULL, 'p' },
		{ "store-dir", required_argument, NULL, 's' },
		{ "check-empty", no_argument, NULL, 'e' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			config->policy_dir = optarg;
			break;
		case 's':
			config->store_dir = optarg;
			break;
		case 'e':
			*ret_check = true;
			break;
		case 'V':
			(void)puts("tenant-controller " TENANTD_VERSION);
			exit(EXIT_SUCCESS);
		default:
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

static void controller_on_term(void *userdata, uint32_t events)
{
	struct controller *controller = userdata;

	(void)events;
	loop_stop(controller->loop, EXIT_SUCCESS);
}

static void controller_on_hangup(void *userdata, uint32_t events)
{
	struct controller *controller = userdata;
	struct context *context = controller->context;
	struct policies_change change;
	struct tn_error err = { 0 };
	int r;

	(void)events;
	r = policies_read(&context->policies, &ACTOR_NONE, &change, &err);
	if (r == 0)
		r = reload_begin(context, &change, false, NULL, NULL, &err);
	if (r < 0)
		log_event(LOG_ERR, "the policy is as it was: the new one is refused",
		          LF_STR("error", err.msg), LF_END);
}

static int controller_start(struct controller *controller, const struct context_config *config,
                            struct tn_error *err)
{
	int r = loop_new(&controller->loop, err);

	if (r == 0)
		r = context_new(&controller->context, controller->loop, config, err);
	if (r == 0)
		r = loop_signal(controller->loop, SIGTERM,
		                (struct loop_handler){ controller_on_term, controller },
		                &controller->term, err);
	if (r == 0)
		r = loop_signal(controller->loop, SIGINT,
		                (struct loop_handler){ controller_on_term, controller },
		                &controller->interrupt, err);
	if (r == 0)
		r = loop_signal(controller->loop, SIGHUP,
		                (struct loop_handler){ controller_on_hangup, controller },
		                &controller->hangup, err);
	return r;
}

/* In the unit's status, for whoever looks there first; the log says it, too. */
static void say_why(int channel_fd, const struct tn_error *why)
{
	struct spec_status status = {
		.head = { .bytes = sizeof(status), .op = SPEC_STATUS, .version = SPEC_VERSION }
	};
	struct tn_error ignored = { 0 };

	(void)snprintf(status.text, sizeof(status.text),
	               "degraded: nobody is served, and it is tried again: %s", why->msg);
	(void)fdpass_send(channel_fd, &status, sizeof(status), NULL, 0, &ignored);
}

static void controller_end(struct controller *controller)
{
	controller->hangup = loop_source_free(controller->hangup);
	controller->interrupt = loop_source_free(controller->interrupt);
	controller->term = loop_source_free(controller->term);
	controller->context = context_free(controller->context);
	controller->loop = loop_free(controller->loop);
}

int main(int argc, char **argv)
{
	struct context_config config = {
		.policy_dir = POLICY_DIR_DEFAULT,
		.store_dir = STORE_DIR_DEFAULT,
		.channel_fd = SPEC_CONTROLLER_CHANNEL_FD,
		.listen_fd = SPEC_CONTROLLER_LISTEN_FD,
	};
	struct controller controller = { 0 };
	cleanup_fd int channel_fd = FD_NONE;
	struct tn_error err = { 0 };
	const struct group *admins;
	bool check = false;
	int r;

	if (options_parse(argc, argv, &config, &check) < 0) {
		(void)fprintf(stderr,
		              "Usage: %s [--policy-dir DIR] [--store-dir DIR] "
		              "[--check-empty]\n",
		              argv[0]);
		return EXIT_FAILURE;
	}
	if (check)
		return store_check(config.store_dir);
	/* A log that nobody reads must not end us. */
	(void)signal(SIGPIPE, SIG_IGN);
	admins = getgrnam(ADMIN_GROUP);
	config.admin_gid_known = admins != NULL;
	config.admin_gid = admins != NULL ? admins->gr_gid : 0;

	/* The context's goes with it. */
	channel_fd = fcntl(config.channel_fd, F_DUPFD_CLOEXEC, 0);
	r = controller_start(&controller, &config, &err);
	if (r < 0)
		say_why(channel_fd, &err);
	else
		r = loop_run(controller.loop, &err);
	if (r < 0)
		log_event(LOG_ERR, "cannot go on", LF_STR("error", err.msg), LF_END);
	controller_end(&controller);
	return r < 0 ? EXIT_FAILURE : r;
}
