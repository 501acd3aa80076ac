/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantd: the privileged supervisor, and the only program of ours that runs as root.
 *
 * It owns the kernel's side of every tenant (cgroups, namespaces, mounts, processes) and
 * decides nothing: tenant-controller, which it starts without a privilege, reads the
 * policy, talks to clients and keeps the store. What that may ask is bounded by
 * bounds.conf. It can be stopped, killed and replaced while workloads run on.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/io.h>
#include <base/log.h>

#include "bounds.h"
#include "channel.h"
#include "child.h"
#include "dispatch.h"
#include "execution.h"
#include "notify.h"
#include "reserve.h"
#include "skeleton.h"
#include "sweep.h"
#include "tenant.h"

#define CONTROL_BACKLOG 1024
#define CONTROL_FD_NAME "control"
#define SYSTEMCTL       "/usr/bin/systemctl"
/* Below this number children arrange their own descriptors. */
#define OWN_FDS_FIRST 10

struct options {
	const char *config_dir, *state_dir, *run_dir, *libexec_dir, *cgroup_root, *user;
	bool allow_missing_controllers;
};

struct tenantd {
	struct options options;
	struct bounds bounds;
	struct hierarchy hierarchy;
	struct loop loop;
	struct loop_source signals, watchdog;
	struct tenants tenants;
	struct executions executions;
	struct child_masks masks;
	struct floors floors;
	struct filters filters;
	struct turns turns;
	struct channel channel;
	struct dispatch dispatch;
	struct reserve reserve;
	struct data_servers data;
	char skeleton_path[256], staging_path[256], controller_path[256];
	char policy_arg[300], store_arg[300];
	const char *controller_argv[4];
	int kept_fd; /* a control socket, until it is listened to */
	bool ready;
};

static int usage(int status)
{
	(void)fputs("usage: tenantd [--config-dir DIR] [--state-dir DIR] [--run-dir DIR]\n"
	            "               [--libexec-dir DIR] [--cgroup-root DIR] [--user NAME]\n"
	            "               [--allow-missing-controllers] [--help] [--version]\n",
	            status == 0 ? stdout : stderr);
	return status;
}

/* 0, -EINVAL, or the letter of an option that asks for an answer and no daemon. */
static int options_parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config-dir", required_argument, NULL, 'c' },
		{ "state-dir", required_argument, NULL, 's' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "libexec-dir", required_argument, NULL, 'l' },
		{ "cgroup-root", required_argument, NULL, 'g' },
		{ "user", required_argument, NULL, 'u' },
		{ "allow-missing-controllers", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	const char **texts[] = {
		['c'] = &o->config_dir,  ['s'] = &o->state_dir,   ['r'] = &o->run_dir,
		['l'] = &o->libexec_dir, ['g'] = &o->cgroup_root, ['u'] = &o->user
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'm')
			o->allow_missing_controllers = true;
		else if (c == 'h' || c == 'v')
			return c;
		else if (c < (int)ARRAY_LEN(texts) && texts[c] != NULL)
			*texts[c] = optarg;
		else
			return -EINVAL;
	}
	return optind == argc ? 0 : -EINVAL;
}

static int directory_make(const char *path, mode_t mode, uid_t uid, gid_t gid,
                          struct tn_error *err)
{
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_errno(err, "create %s", path);
	/* Of what is so already nothing is asked: the file system may have become read-only. */
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid &&
	    st.st_gid == gid && (st.st_mode & 07777) == mode)
		return 0;
	if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
		return err_errno(err, "own %s", path);
	return 0;
}

static int directories_make(struct tenantd *d, struct tn_error *err)
{
	const struct options *o = &d->options;
	char store[280], exec[280], filters[280];
	int r;

	(void)snprintf(d->skeleton_path, sizeof(d->skeleton_path), "%s/skeleton", o->run_dir);
	(void)snprintf(d->staging_path, sizeof(d->staging_path), "%s/staging", o->run_dir);
	(void)snprintf(store, sizeof(store), "%s/store", o->state_dir);
	(void)snprintf(exec, sizeof(exec), "%s/exec", o->run_dir);
	(void)snprintf(filters, sizeof(filters), "%s/filters", o->run_dir);
	r = directory_make(o->state_dir, 0755, 0, 0, err);
	if (r == 0)
		r = directory_make(o->run_dir, 0755, 0, 0, err);
	if (r == 0)
		r = directory_make(store, 0700, d->channel.uid, d->channel.gid, err);
	if (r == 0)
		r = directory_make(d->bounds.storage_root, 0711, 0, 0, err);
	if (r == 0)
		r = directory_make(exec, 0700, 0, 0, err);
	if (r == 0)
		r = directory_make(filters, 0700, 0, 0, err);
	if (r == 0)
		r = directory_make(d->skeleton_path, 0700, 0, 0, err);
	if (r == 0)
		r = directory_make(d->staging_path, 0700, 0, 0, err);
	if (r == 0)
		r = meters_open(&d->tenants.meters, o->run_dir, err);
	if (r < 0)
		return r;
	d->executions.dir_fd = open(exec, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (d->executions.dir_fd < 0)
		return err_errno(err, "open %s", exec);
	d->filters.dir_fd = open(filters, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return d->filters.dir_fd < 0 ? err_errno(err, "open %s", filters) : 0;
}

/* Occupy the low numbers, so that everything opened later lies above them. */
static int low_fds_reserve(struct tn_error *err)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return err_errno(err, "/dev/null");
	} while (fd < OWN_FDS_FIRST - 1);
	return 0;
}

/*
 * tenant-init as a sealed memfd: what every sandbox executes is no file that a workload
 * could open for writing through /proc/1/exe.
 */
static int init_load(const char *libexec_dir, struct tn_error *err)
{
	char path[300], block[8192];
	cleanup_fd int from = FD_NONE;
	cleanup_fd int to = memfd_create("tenant-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/tenant-init", libexec_dir);
	from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0 || to < 0)
		return err_errno(err, "load %s", path);
	while ((n = io_read_all(from, block, sizeof(block))) > 0)
		if (io_write_all(to, block, (size_t)n) < 0)
			return err_errno(err, "copy %s", path);
	/* To be executed and not read: so the kernel keeps a process of it as it does one with
	 * privileges, from the first moment on. */
	if (n < 0 || fchmod(to, 0111) < 0 ||
	    fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
	            0)
		return err_errno(err, "seal %s", path);
	return fd_take(&to);
}

/* Whether whoever connects to @path is heard. */
static bool is_listened_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
	    (int)sizeof(address.sun_path))
		return false;
	/* EAGAIN: so many wait already that there is no room. */
	return fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
	                   errno == EAGAIN);
}

/*
 * Bound under another name and moved into place: clients never find nothing there. Over a
 * restart systemd keeps it (@kept, consumed), so that those who come meanwhile wait and are not
 * refused.
 */
static int control_listen(const char *run_dir, int kept, struct tn_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[300];
	cleanup_fd int kept_fd = kept;
	cleanup_fd int fd = FD_NONE;

	(void)snprintf(path, sizeof(path), "%s/control.sock", run_dir);
	/* Another may have been put in its place. */
	if (kept_fd >= 0 && is_listened_to(path))
		return fd_take(&kept_fd);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, "control socket");
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s.new", path) >=
	    (int)sizeof(address.sun_path))
		return err_refuse(err, TN_INVALID, "%s: path is too long for a socket", path);
	(void)unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(address.sun_path, 0666) < 0 || listen(fd, CONTROL_BACKLOG) < 0 ||
	    rename(address.sun_path, path) < 0)
		return err_errno(err, "listen on %s", path);
	notify_keep_fd(CONTROL_FD_NAME, fd);
	return fd_take(&fd);
}

static void tell(void *context, const void *message, int fd)
{
	struct tenantd *d = context;

	channel_send(&d->channel, message, fd);
}

static void tell_meter(void *context, const struct id *tenant, int fd)
{
	struct tenantd *d = context;
	const struct spec_meter message = {
		.head = { sizeof(message), SPEC_METER, SPEC_VERSION, 0 },
		.tenant = *tenant,
	};

	/* The first controller, and each after it, is told of all that there are. */
	if (d->channel.pid > 0)
		channel_send(&d->channel, &message, fd);
}

static void reserve_told(void *context, const struct tn_error *error)
{
	struct tenantd *d = context;
	const struct spec_reserved message = {
		.head = { sizeof(message), SPEC_RESERVED, SPEC_VERSION, 0 },
		.error = *error,
	};

	/* What only we wanted is ours to speak of. */
	if (d->reserve.asked)
		channel_send(&d->channel, &message, FD_NONE);
	else if (error->code != TN_OK)
		log_event(LOG_ERR, "the host's reserve is not held",
		          LF_STR("error", error->msg), LF_END);
}

static bool idle(void *context)
{
	return turns_run(context);
}

static void tell_slots(struct tenantd *d)
{
	struct spec_slots slots = { .head = { sizeof(slots), SPEC_SLOTS, SPEC_VERSION, 0 } };
	struct id tenant;
	int64_t slot = -1;

	while ((slot = slots_taken(d->tenants.slots, slot + 1, &tenant)) >= 0) {
		slots.tenants[slots.n++] = tenant;
		if (slots.n < SPEC_SLOTS_MAX)
			continue;
		channel_send(&d->channel, &slots, FD_NONE);
		slots.n = 0;
	}
	if (slots.n > 0)
		channel_send(&d->channel, &slots, FD_NONE);
}

static void controller_connected(void *context)
{
	struct tenantd *d = context;
	struct spec_hello hello = {
		.head = { sizeof(hello), SPEC_HELLO, SPEC_VERSION, 0 },
		.controllers = d->hierarchy.controllers,
		.tenants_max = d->bounds.slots_max,
		.executions_max = d->bounds.executions_max,
	};

	/* Those of a controller that has ended. */
	turns_drop(&d->turns);
	tenants_squeeze_undo(&d->tenants);
	memcpy(hello.cgroup_root, d->hierarchy.path, sizeof(hello.cgroup_root));
	memcpy(hello.storage_root, d->bounds.storage_root, sizeof(hello.storage_root));
	channel_send(&d->channel, &hello, d->hierarchy.root_fd);
	tell_slots(d);
	executions_replay(&d->executions);
	tenants_meters_tell(&d->tenants);
}

static void controller_message(void *context, const struct spec_head *message, int *fds,
                               size_t fds_n)
{
	struct tenantd *d = context;

	if (message->op == SPEC_READY && !d->ready) {
		d->ready = true;
		notify("READY=1");
		log_event(LOG_INFO, "ready", LF_STR("version", TENANTD_VERSION), LF_END);
	}
	dispatch_message(&d->dispatch, message, fds, fds_n);
}

static void signals_ready(void *context, uint32_t events)
{
	struct tenantd *d = context;
	struct signalfd_siginfo info;

	(void)events;
	if (read(d->signals.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP)
		d->loop.done = true;
	else if (d->channel.pid > 0)
		(void)kill(d->channel.pid, SIGHUP);
}

static void watchdog_ready(void *context, uint32_t events)
{
	struct tenantd *d = context;
	uint64_t ticks;

	(void)events;
	if (read(d->watchdog.fd, &ticks, sizeof(ticks)) > 0)
		notify("WATCHDOG=1");
}

static int signals_watch(struct tenantd *d, struct tn_error *err)
{
	static const int wanted[] = { SIGTERM, SIGINT, SIGHUP };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		(void)sigaddset(&set, wanted[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	d->signals = (struct loop_source){ signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		                           signals_ready, d };
	if (d->signals.fd < 0)
		return err_errno(err, "signalfd");
	return loop_add(&d->loop, &d->signals, EPOLLIN, err);
}

static int watchdog_start(struct tenantd *d, struct tn_error *err)
{
	const int64_t usec = notify_watchdog_usec();
	const struct timespec every = { .tv_sec = (time_t)(usec / CLOCK_USEC_PER_SEC),
		                        .tv_nsec = (long)(usec % CLOCK_USEC_PER_SEC) *
		                                   CLOCK_NSEC_PER_USEC };
	const struct itimerspec when = { every, every };

	if (usec == 0)
		return 0;
	d->watchdog = (struct loop_source){
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), watchdog_ready, d
	};
	if (d->watchdog.fd < 0 || timerfd_settime(d->watchdog.fd, 0, &when, NULL) < 0)
		return err_errno(err, "watchdog timer");
	return loop_add(&d->loop, &d->watchdog, EPOLLIN, err);
}

static int user_find(struct tenantd *d, struct tn_error *err)
{
	const struct passwd *user = getpwnam(d->options.user);

	if (user == NULL || user->pw_uid == 0)
		return err_refuse(
			err, TN_NOT_FOUND,
			"user '%s', which the controller runs as, is not there (or is root)",
			d->options.user);
	d->channel.uid = user->pw_uid;
	d->channel.gid = user->pw_gid;
	return 0;
}

static void controller_describe(struct tenantd *d)
{
	const struct options *o = &d->options;
	struct channel *c = &d->channel;

	(void)snprintf(d->controller_path, sizeof(d->controller_path), "%s/tenant-controller",
	               o->libexec_dir);
	(void)snprintf(d->policy_arg, sizeof(d->policy_arg), "--policy-dir=%s", o->config_dir);
	(void)snprintf(d->store_arg, sizeof(d->store_arg), "--store-dir=%s/store",
	               o->state_dir);
	d->controller_argv[0] = d->controller_path;
	d->controller_argv[1] = d->policy_arg;
	d->controller_argv[2] = d->store_arg;
	c->path = d->controller_path;
	c->argv = d->controller_argv;
	c->loop = &d->loop;
	c->connected = controller_connected;
	c->received = controller_message;
	c->context = d;
}

static void wire_up(struct tenantd *d)
{
	d->tenants.bounds = &d->bounds;
	d->tenants.hierarchy = &d->hierarchy;
	d->tenants.skeleton_path = d->skeleton_path;
	d->tenants.staging_path = d->staging_path;
	d->filters.floors = &d->floors;
	d->tenants.filters = &d->filters;
	d->tenants.remover = (struct remover){ .loop = &d->loop,
		                               .slots = d->tenants.slots,
		                               .storage_root = d->bounds.storage_root,
		                               .tried = leftovers_stored,
		                               .context = &d->executions,
		                               .source.fd = FD_NONE };
	d->tenants.tell_meter = tell_meter;
	d->tenants.context = d;
	d->executions.loop = &d->loop;
	d->executions.tenants = &d->tenants;
	d->executions.bounds = &d->bounds;
	d->executions.masks = &d->masks;
	d->executions.controllers = d->hierarchy.controllers;
	d->executions.tell = tell;
	d->executions.context = d;
	d->executions.turns = &d->turns;
	d->reserve = (struct reserve){ .loop = &d->loop,
		                       .hierarchy = &d->hierarchy,
		                       .bounds = &d->bounds,
		                       .systemctl = SYSTEMCTL,
		                       .told = reserve_told,
		                       .context = d };
	reserve_init(&d->reserve, getenv("NOTIFY_SOCKET") != NULL);
	d->data.loop = &d->loop;
	d->data.tenants = &d->tenants;
	d->data.storage_root = d->bounds.storage_root;
	d->dispatch = (struct dispatch){ &d->channel, &d->tenants, &d->executions,
		                         &d->turns,   &d->reserve, &d->data };
	d->loop.idle = (struct loop_idle){ idle, &d->turns };
	controller_describe(d);
}

/* What is read and checked before anything is touched. */
static int configure(struct tenantd *d, struct tn_error *err)
{
	char path[300];
	int r;

	(void)snprintf(path, sizeof(path), "%s/bounds.conf", d->options.config_dir);
	r = bounds_load(path, &d->bounds, err);
	if (r == 0)
		r = user_find(d, err);
	if (d->options.cgroup_root == NULL)
		d->options.cgroup_root = d->bounds.cgroup_root;
	if (r == 0 && d->options.allow_missing_controllers && getenv("NOTIFY_SOCKET") != NULL)
		r = err_refuse(
			err, TN_INVALID,
			"--allow-missing-controllers is for benchmarks, not under systemd");
	return r;
}

static int kernel_objects(struct tenantd *d, struct tn_error *err)
{
	char path[300];
	int r;

	/* systemd gave us a copy of the host's mount namespace; where process 1 is none of
	 * ours to look at, the one we were started in is the host's. */
	d->executions.host_mnt_fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (d->executions.host_mnt_fd < 0)
		d->executions.host_mnt_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (d->executions.host_mnt_fd < 0)
		return err_errno(err, "the host's mount namespace");
	/* Mounts of ours are nobody else's business, and libcgroup is confined by one. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_errno(err, "private mount namespace");
	r = directories_make(d, err);
	if (r == 0)
		r = hierarchy_open(&d->hierarchy, d->options.cgroup_root,
		                   d->options.allow_missing_controllers, err);
	if (r == 0)
		r = skeleton_make(d->skeleton_path, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/slots", d->options.state_dir);
	r = slots_open(path, d->bounds.slots_max, &d->tenants.slots, err);
	if (r < 0)
		return r;
	d->executions.init_fd = init_load(d->options.libexec_dir, err);
	if (d->executions.init_fd < 0)
		return d->executions.init_fd;
	d->channel.listen_fd = control_listen(d->options.run_dir, fd_take(&d->kept_fd), err);
	return d->channel.listen_fd < 0 ? d->channel.listen_fd : 0;
}

static int start(struct tenantd *d, struct tn_error *err)
{
	int r;

	d->kept_fd = notify_kept_fd(CONTROL_FD_NAME, OWN_FDS_FIRST);
	meters_take_kept(&d->tenants.meters, OWN_FDS_FIRST);
	r = low_fds_reserve(err);
	if (r == 0)
		r = configure(d, err);
	if (r == 0)
		r = kernel_objects(d, err);
	if (r == 0)
		r = loop_init(&d->loop, err);
	if (r < 0)
		return r;
	child_masks_probe(&d->masks);
	floors_make(&d->floors);
	if (d->masks.landlock_abi == 0)
		log_event(LOG_WARNING,
		          "this kernel has no Landlock that can be used: mounts alone say what "
		          "a sandbox may write to",
		          LF_END);
	wire_up(d);
	r = signals_watch(d, err);
	if (r == 0)
		r = watchdog_start(d, err);
	if (r == 0)
		r = executions_start(&d->executions, err);
	if (r == 0)
		r = executions_adopt(&d->executions, err);
	/* What is to be left in any case, before anybody could ask for less. */
	if (r == 0 && (d->bounds.reserve_memory_bytes > 0 || d->bounds.reserve_cpu_percent > 0))
		reserve_set(&d->reserve, d->bounds.reserve_memory_bytes,
		            d->bounds.reserve_cpu_percent * (SPEC_CPU_PERIOD_USEC / 100));
	if (r == 0) {
		executions_sweep(&d->executions);
		filters_sweep(&d->filters);
		tenants_meters_restore(&d->tenants);
		r = channel_start(&d->channel, err);
	}
	if (r == 0)
		remover_wake(&d->tenants.remover);
	return r;
}

int main(int argc, char **argv)
{
	static struct tenantd d = {
		.options = { .config_dir = "/etc/tenantd",
		             .state_dir = "/var/lib/tenantd",
		             .run_dir = "/run/tenantd",
		             .libexec_dir = TENANTD_LIBEXECDIR,
		             .user = "tenantd" },
		.watchdog = { .fd = FD_NONE },
	};
	struct tn_error err = { 0 };
	int r;

	(void)umask(022);
	r = options_parse(&d.options, argc, argv);
	if (r == 'v')
		return printf("tenantd %s\n", TENANTD_VERSION) < 0;
	if (r != 0)
		return usage(r == 'h' ? 0 : 2);
	r = start(&d, &err);
	if (r == 0)
		r = loop_run(&d.loop, &err);
	if (r < 0) {
		log_event(LOG_ERR, "tenantd cannot go on", LF_STR("error", err.msg), LF_END);
		/* Whoever comes is to be told that nobody listens, and not to wait for ever. */
		notify_drop_fd(CONTROL_FD_NAME);
	}
	notify("STOPPING=1");
	if (d.channel.loop != NULL)
		channel_stop(&d.channel);
	data_servers_stop(&d.data);
	remover_stop(&d.tenants.remover);
	reserve_stop(&d.reserve);
	/* What runs on needs its filter's file. */
	d.filters.dir_fd = FD_NONE;
	executions_done(&d.executions);
	tenants_done(&d.tenants);
	d.tenants.slots = slots_close(d.tenants.slots);
	return r < 0 || !d.ready;
}
