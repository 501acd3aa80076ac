/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sampler.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/id_table.h>
#include <base/log.h>

/* 2^64 times the golden ratio's fraction, whose multiples are spread most evenly of all. */
#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

struct sampled {
	struct id_node node; /* first: found by the tenant's id */
	struct tenant *tenant;
	struct cgstat_kept kept;
	bool is_kept;
	int64_t cgroup_id; /* that the path is of */
	struct ledger_path path;
	bool is_booked;                /* once, by us */
	int64_t booked[LEDGER_NODE_N]; /* then: what of it */
	/* The last that began, and when it was told. */
	struct id started;
	int64_t started_at;
	/* The look after a start: at when, and how long after the one before; 0: no more. */
	int64_t young_at;
	int64_t young_usec;
	struct sampled *young_next;
};

struct sampler {
	struct sampler_config config;
	struct id_table table;
	size_t kept_n;
	int64_t interval_usec;
	struct loop_source *timer;
	int64_t began; /* CLOCK_MONOTONIC */
	int64_t look;  /* the number of the next since then */
	int64_t books; /* of the interval that was booked last */
	struct loop_source *young_timer;
	struct sampled *young;
	struct ledger_sample *samples; /* of one turn */
	size_t samples_n;
	size_t samples_size;
	bool failing;
};

static int64_t now_usec(const struct sampler *sampler, clockid_t clock)
{
	return sampler->config.clock != NULL ? sampler->config.clock(clock) : clock_usec(clock);
}

static struct sampled *sampled_find(struct sampler *sampler, const struct id *tenant)
{
	return id_table_find(&sampler->table, tenant);
}

static void sampled_close(struct sampler *sampler, struct sampled *sampled)
{
	if (!sampled->is_kept)
		return;
	cgstat_drop(&sampled->kept);
	sampled->is_kept = false;
	sampler->kept_n--;
}

static void young_remove(struct sampler *sampler, struct sampled *sampled)
{
	struct sampled **at = &sampler->young;

	while (*at != NULL && *at != sampled)
		at = &(*at)->young_next;
	if (*at != NULL)
		*at = sampled->young_next;
	sampled->young_usec = 0;
}

static void sampled_drop(struct sampler *sampler, struct sampled *sampled)
{
	if (sampled->young_usec > 0)
		young_remove(sampler, sampled);
	sampled_close(sampler, sampled);
	id_table_remove(&sampler->table, &sampled->node);
	free(sampled);
	if (sampler->table.n > 0)
		return;
	loop_disarm(sampler->timer);
	loop_disarm(sampler->young_timer);
	free(sampler->samples);
	sampler->samples = NULL;
	sampler->samples_size = 0;
}

/* Looks at another cgroup do not go on from those at the one before. */
static void sampled_turn_to(struct sampled *sampled, int64_t cgroup_id)
{
	if (sampled->cgroup_id == cgroup_id)
		return;
	sampled->cgroup_id = cgroup_id;
	sampled->path = (struct ledger_path){ 0 };
	sampled->is_booked = false;
}

/* Its files, kept open, unless there are too many already. */
static bool sampled_keep(struct sampler *sampler, struct sampled *sampled)
{
	struct tn_error ignored = { 0 };

	if (sampled->is_kept)
		return true;
	if (sampler->kept_n >= sampler->config.kept_max)
		return false;
	if (cgstat_keep(*sampler->config.root_fd, sampled->tenant->row.name, &sampled->kept,
	                &ignored) < 0)
		return false;
	sampled->is_kept = true;
	sampler->kept_n++;
	sampled_turn_to(sampled, sampled->kept.cgroup_id);
	return true;
}

static int sampled_read(struct sampler *sampler, struct sampled *sampled,
                        struct cgstat_node *ret)
{
	const int root_fd = *sampler->config.root_fd;
	struct tn_error ignored = { 0 };
	int r;

	/* Under its name there may be another's by now. */
	if (root_fd < 0 || sampled->tenant->row.status == TENANT_DELETED)
		return -ENOENT;
	if (!sampled_keep(sampler, sampled))
		r = cgstat_node(root_fd, sampled->tenant->row.name, ret, &ignored);
	else
		r = cgstat_node_kept(&sampled->kept, ret, &ignored);
	if (r < 0)
		sampled_close(sampler, sampled);
	else
		sampled_turn_to(sampled, ret->cgroup_id);
	return r;
}

/* What its memory is now, or SPEC_ABSENT. */
static int64_t sampled_memory(struct sampler *sampler, struct sampled *sampled)
{
	struct cgstat_node node;

	if (*sampler->config.root_fd >= 0 && sampled_keep(sampler, sampled))
		return cgstat_memory_kept(&sampled->kept);
	return sampled_read(sampler, sampled, &node) == 0 ? node.memory_bytes : SPEC_ABSENT;
}

static void sampled_look(struct sampler *sampler, struct sampled *sampled)
{
	const int64_t bytes = sampled_memory(sampler, sampled);

	if (bytes != SPEC_ABSENT)
		ledger_path_add(
			&sampled->path,
			(struct ledger_look){ bytes, now_usec(sampler, CLOCK_MONOTONIC) });
}

static void raw_fill(const struct cgstat_node *node, int64_t raw[static LEDGER_NODE_N])
{
	const bool counts = node->io_reads != SPEC_ABSENT && node->io_writes != SPEC_ABSENT;

	raw[METER_CPU_TIME] = node->cpu_usec;
	raw[METER_THROTTLED_TIME] = node->throttled_usec;
	raw[METER_IO_READ_BYTES] = node->io_read_bytes;
	raw[METER_IO_WRITE_BYTES] = node->io_write_bytes;
	raw[METER_IO_OPS] = counts ? node->io_reads + node->io_writes : LEDGER_ABSENT;
}

void sampler_fill(struct sampler *sampler, const struct id *tenant,
                  const struct cgstat_node *node, struct ledger_sample *sample)
{
	const struct ledger_look look = {
		node->memory_bytes,
		sampler != NULL ? now_usec(sampler, CLOCK_MONOTONIC)
				: clock_usec(CLOCK_MONOTONIC),
	};
	struct sampled *sampled = sampler != NULL ? sampled_find(sampler, tenant) : NULL;

	sample->cgroup_id = node->cgroup_id;
	raw_fill(node, sample->raw);
	sample->memory = (struct ledger_path){ 0 };
	if (sampled != NULL) {
		sampled_turn_to(sampled, node->cgroup_id);
		sample->memory = sampled->path;
	}
	if (node->memory_bytes != SPEC_ABSENT)
		ledger_path_add(&sample->memory, look);
	if (sampled != NULL)
		sampled->path = sample->memory;
}

void sampler_booked(struct sampler *sampler, const struct ledger_sample *sample)
{
	struct sampled *sampled = sampled_find(sampler, &sample->tenant);

	if (sampled == NULL || sample->node == LEDGER_NODE_UNREADABLE)
		return;
	if (sample->node == LEDGER_NODE_READ && sampled->cgroup_id == sample->cgroup_id) {
		memcpy(sampled->booked, sample->raw, sizeof(sampled->booked));
		sampled->is_booked = true;
		ledger_path_booked(&sampled->path);
	}
	if (sampled->tenant->executions_n == 0)
		sampled_drop(sampler, sampled);
}

int sampler_ahead(struct sampler *sampler, const struct id *tenant,
                  int64_t ret[static LEDGER_METERS_N])
{
	struct sampled *sampled = sampled_find(sampler, tenant);
	struct ledger_sample sample;
	struct cgstat_node node;
	int r = sampled == NULL ? -ENOENT : sampled_read(sampler, sampled, &node);

	if (r < 0)
		return r;
	if (!sampled->is_booked)
		return -EAGAIN;
	sampler_fill(sampler, tenant, &node, &sample);
	memset(ret, 0, LEDGER_METERS_N * sizeof(*ret));
	for (int meter = 0; meter < (int)LEDGER_NODE_N; meter++)
		if (sample.raw[meter] > sampled->booked[meter] &&
		    sampled->booked[meter] != LEDGER_ABSENT)
			ret[meter] = sample.raw[meter] - sampled->booked[meter];
	ret[METER_MEMORY_TIME] = (int64_t)(sample.memory.area / LEDGER_MIB_MSEC);
	return 0;
}

static bool has_moved(const struct sampled *sampled, const struct ledger_sample *sample)
{
	return !sampled->is_booked || sample->memory.area > 0 ||
	       memcmp(sampled->booked, sample->raw, sizeof(sampled->booked)) != 0;
}

/* Room for one of each that is active. */
static bool samples_make_room(struct sampler *sampler)
{
	struct ledger_sample *samples;

	if (sampler->samples_size >= sampler->table.n)
		return true;
	samples = reallocarray(sampler->samples, 2 * sampler->table.n, sizeof(*samples));
	if (samples == NULL)
		return false;
	sampler->samples = samples;
	sampler->samples_size = 2 * sampler->table.n;
	return true;
}

/* One whose files are opened for each look is looked at when all of it is read, and no more. */
static void visit_look(void *member, void *context)
{
	const struct sampler *sampler = context;
	const struct sampled *sampled = member;

	if (sampled->is_kept || sampler->kept_n < sampler->config.kept_max)
		sampled_look(context, member);
}

static void visit_book(void *member, void *context)
{
	struct sampled *sampled = member;
	struct sampler *sampler = context;
	struct ledger_sample *sample = &sampler->samples[sampler->samples_n];
	struct cgstat_node node;
	bool moved = false;

	if (sampled_read(sampler, sampled, &node) == 0) {
		memset(sample, 0, sizeof(*sample));
		sample->tenant = sampled->node.id;
		sample->node = LEDGER_NODE_READ;
		memcpy(sample->boot_id, sampler->config.boot_id, LEDGER_BOOT_BYTES);
		sample->at = now_usec(sampler, CLOCK_REALTIME);
		sample->running_cpu_usec = LEDGER_ABSENT;
		sampler_fill(sampler, &sampled->node.id, &node, sample);
		moved = has_moved(sampled, sample);
	}
	sampler->samples_n += moved;
	/* What is to be booked goes when it has been. */
	if (!moved && sampled->tenant->executions_n == 0)
		sampled_drop(sampler, sampled);
}

/* Once per change between working and failing, not once per attempt. */
static void sampler_note(struct sampler *sampler, int r, const struct tn_error *err)
{
	if (r < 0 && !sampler->failing)
		log_event(LOG_ERR, "looks at what runs cannot be booked yet",
		          LF_STR("error", err->msg), LF_END);
	sampler->failing = r < 0;
}

/* In the order in which a store has them: each page of it is written once. */
static int by_tenant(const void *a, const void *b)
{
	const struct ledger_sample *left = a, *right = b;

	return memcmp(&left->tenant, &right->tenant, sizeof(left->tenant));
}

void sampler_turn(struct sampler *sampler, bool book)
{
	struct tn_error err = { 0 };
	int r = 0;

	if (!book || !samples_make_room(sampler)) {
		id_table_each(&sampler->table, visit_look, sampler);
		return;
	}
	sampler->samples_n = 0;
	cgstat_flush(*sampler->config.root_fd);
	id_table_each(&sampler->table, visit_book, sampler);
	if (sampler->samples_n > 1)
		qsort(sampler->samples, sampler->samples_n, sizeof(*sampler->samples),
		      by_tenant);
	if (sampler->samples_n > 0)
		r = sampler->config.book(sampler->config.userdata, sampler->samples,
		                         sampler->samples_n, &err);
	sampler_note(sampler, r, &err);
}

static int64_t share_usec(const struct sampler *sampler)
{
	return sampler->interval_usec / SAMPLER_LOOKS;
}

int64_t sampler_place(int64_t n, int64_t share_usec)
{
	return (int64_t)(((ledger_area)((uint64_t)n * GOLDEN) * (ledger_area)share_usec) >> 64);
}

/* When look @n is due, within its share of the interval. */
static int64_t due_at(const struct sampler *sampler, int64_t n)
{
	const int64_t share = share_usec(sampler);

	return sampler->began + n * share + sampler_place(n, share);
}

/* For the first look that is not past. */
static void sampler_arm(struct sampler *sampler)
{
	const int64_t now = now_usec(sampler, CLOCK_MONOTONIC);
	const int64_t present = (now - sampler->began) / share_usec(sampler);

	if (sampler->look < present)
		sampler->look = present;
	while (due_at(sampler, sampler->look) <= now)
		sampler->look++;
	loop_arm(sampler->timer, due_at(sampler, sampler->look) - now);
}

static void on_timer(void *userdata, uint32_t events)
{
	struct sampler *sampler = userdata;
	const int64_t interval = sampler->look / SAMPLER_LOOKS;
	const bool book = sampler->books != interval;

	(void)events;
	sampler->books = interval;
	sampler->look++;
	sampler_turn(sampler, book);
	if (sampler->table.n > 0)
		sampler_arm(sampler);
}

static void young_arm(struct sampler *sampler, int64_t now)
{
	int64_t first = INT64_MAX;

	for (const struct sampled *one = sampler->young; one != NULL; one = one->young_next)
		if (one->young_at < first)
			first = one->young_at;
	loop_disarm(sampler->young_timer);
	if (sampler->young != NULL)
		loop_arm(sampler->young_timer, first > now ? first - now : 0);
}

static void on_young(void *userdata, uint32_t events)
{
	struct sampler *sampler = userdata;
	const int64_t now = now_usec(sampler, CLOCK_MONOTONIC);
	struct sampled *next;

	(void)events;
	for (struct sampled *one = sampler->young; one != NULL; one = next) {
		next = one->young_next;
		if (one->young_at > now)
			continue;
		sampled_look(sampler, one);
		one->young_usec *= 2;
		one->young_at = now + one->young_usec;
		if (one->young_usec >= share_usec(sampler))
			young_remove(sampler, one);
	}
	young_arm(sampler, now);
}

static struct sampled *sampled_add(struct sampler *sampler, struct tenant *tenant)
{
	struct sampled *sampled = calloc(1, sizeof(*sampled));

	/* Its end is booked all the same, by who reads then. */
	if (sampled == NULL)
		return NULL;
	sampled->node.id = tenant->row.id;
	sampled->tenant = tenant;
	id_table_add(&sampler->table, &sampled->node);
	return sampled;
}

void sampler_on_started(struct sampler *sampler, struct tenant *tenant,
                        const struct id *execution)
{
	const int64_t now = now_usec(sampler, CLOCK_MONOTONIC);
	struct sampled *sampled = sampled_find(sampler, &tenant->row.id);

	if (sampled == NULL)
		sampled = sampled_add(sampler, tenant);
	if (sampled == NULL)
		return;
	sampled->started = *execution;
	sampled->started_at = now;
	sampled_look(sampler, sampled);
	if (sampled->young_usec == 0) {
		sampled->young_next = sampler->young;
		sampler->young = sampled;
	}
	sampled->young_usec = SAMPLER_FIRST_USEC;
	sampled->young_at = now + SAMPLER_FIRST_USEC;
	young_arm(sampler, now);
	if (sampler->table.n == 1)
		sampler_arm(sampler);
}

void sampler_on_ended(struct sampler *sampler, struct tenant *tenant,
                      const struct id *execution, int64_t wall_usec, int64_t peak_bytes)
{
	struct sampled *sampled = sampled_find(sampler, &tenant->row.id);
	struct ledger_look look;
	int64_t ended;

	if (sampled == NULL)
		return;
	look.bytes = sampled_memory(sampler, sampled);
	look.at = ended = now_usec(sampler, CLOCK_MONOTONIC);
	if (look.bytes == SPEC_ABSENT)
		return;
	/* That it has started was told after it had, as its end was. */
	if (wall_usec != LEDGER_ABSENT && id_equal(&sampled->started, execution) &&
	    wall_usec < look.at - sampled->started_at)
		ended = sampled->started_at + wall_usec;
	ledger_path_end(&sampled->path, look, ended, peak_bytes);
}

void sampler_set_interval(struct sampler *sampler, int64_t usec)
{
	if (usec == sampler->interval_usec)
		return;
	sampler->interval_usec = usec;
	sampler->began = now_usec(sampler, CLOCK_MONOTONIC);
	sampler->look = 0;
	sampler->books = 0;
	loop_disarm(sampler->timer);
	if (sampler->table.n > 0)
		sampler_arm(sampler);
}

size_t sampler_active(const struct sampler *sampler)
{
	return sampler->table.n;
}

size_t sampler_kept(const struct sampler *sampler)
{
	return sampler->kept_n;
}

/* How many tenants' files may be open. */
static size_t kept_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		const struct rlimit raised = { limit.rlim_max, limit.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	return (size_t)limit.rlim_cur / SAMPLER_FDS_DIVISOR / CGSTAT_KEPT_FDS;
}

int sampler_new(struct sampler **ret, const struct sampler_config *config, struct tn_error *err)
{
	struct sampler *sampler = calloc(1, sizeof(*sampler));
	struct policy_daemon defaults;
	int r;

	if (sampler == NULL)
		return err_errno(err, "allocate the sampler");
	sampler->config = *config;
	if (config->kept_max == 0)
		sampler->config.kept_max = kept_max();
	r = loop_timer(config->loop, (struct loop_handler){ on_timer, sampler },
	               &sampler->timer, err);
	if (r == 0)
		r = loop_timer(config->loop, (struct loop_handler){ on_young, sampler },
		               &sampler->young_timer, err);
	if (r < 0) {
		(void)sampler_free(sampler);
		return r;
	}
	policy_daemon_reset(&defaults);
	sampler_set_interval(sampler, defaults.settings.sample_interval_usec);
	*ret = sampler;
	return 0;
}

static void visit_free(void *member, void *context)
{
	sampled_close(context, member);
	free(member);
}

struct sampler *sampler_free(struct sampler *sampler)
{
	if (sampler == NULL)
		return NULL;
	sampler->timer = loop_source_free(sampler->timer);
	sampler->young_timer = loop_source_free(sampler->young_timer);
	id_table_each(&sampler->table, visit_free, sampler);
	free(sampler->samples);
	free(sampler);
	return NULL;
}
