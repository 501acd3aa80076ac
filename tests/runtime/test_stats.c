/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What runs, as its cgroups count it. */
#include <criterion/criterion.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rig.h"

TestSuite(stats, .timeout = 30);

static struct rig rig;
static struct varlink *asks, *runs;
static union rig_message launch;
static char id[ID_TEXT_BYTES], leaf[RIG_PATH_BYTES_MAX / 2];

static void set_up(void)
{
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_tenant(&rig, "globex");
	asks = rig_connect(&rig);
	runs = rig_connect(&rig);
	rig_run_started(&rig, runs, "acme", &launch);
	id_format(&launch.launch.execution, id);
	(void)snprintf(leaf, sizeof(leaf), "acme/%s", id);
	rig_cgroup(&rig, "acme", 9000);
	rig_cgroup(&rig, leaf, 5000);
}

static void tear_down(void)
{
	(void)varlink_free(asks);
	(void)varlink_free(runs);
	rig_done(&rig);
}

static void put(const char *cgroup, const char *file, const char *text)
{
	char path[2 * RIG_PATH_BYTES_MAX];

	(void)snprintf(path, sizeof(path), "cgroup/%s/%s", cgroup, file);
	rig_write(&rig, path, text);
}

/* The replies to one look, an array of stats; the caller's. */
static json_t *look(const char *tenant)
{
	json_t *list = json_array();
	bool more = true;

	rig_call(&rig, asks, "io.tenantd.GetStats", json_pack("{s:s?}", "tenant", tenant),
	         "more");
	while (more) {
		json_t *answer = rig_answer(&rig, asks);
		json_t *stats = json_object_get(json_object_get(answer, "parameters"), "stats");

		cr_assert_null(json_object_get(answer, "error"), "%s",
		               rig_text(answer, "error"));
		if (json_is_object(stats))
			(void)json_array_append(list, stats);
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
	}
	return list;
}

Test(stats, are_of_the_tenant_and_then_of_what_it_runs, .init = set_up, .fini = tear_down)
{
	char path[2 * RIG_PATH_BYTES_MAX];
	const json_t *one;
	json_t *list;
	struct stat st;

	put(leaf, "cpu.stat", "usage_usec 5000\nnr_periods 30\nnr_throttled 12\n");
	put(leaf, "memory.current", "4096\n");
	put(leaf, "memory.max", "67108864\n");
	put(leaf, "pids.current", "3\n");
	put(leaf, "pids.max", "max\n");
	put(leaf, "io.stat", "8:0 rbytes=10 wbytes=20\n8:16 rbytes=1 wbytes=2\n");
	put(leaf, "cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\n");
	list = look(NULL);
	cr_assert_eq(json_array_size(list), 2u);
	one = json_array_get(list, 0);
	cr_expect_str_eq(rig_text(one, "tenant"), "acme");
	cr_expect(json_is_null(json_object_get(one, "execution")));
	cr_expect_eq(rig_number(one, "cpu_usec"), 9000);
	cr_expect(json_is_null(json_object_get(one, "memory_bytes")));
	one = json_array_get(list, 1);
	cr_expect_str_eq(rig_text(one, "execution"), id);
	cr_expect_eq(rig_number(one, "cpu_usec"), 5000);
	cr_expect_eq(rig_number(one, "cpu_periods"), 30);
	cr_expect_eq(rig_number(one, "cpu_periods_throttled"), 12);
	cr_expect_eq(rig_number(one, "memory_bytes"), 4096);
	cr_expect_eq(rig_number(one, "memory_max_bytes"), 67108864);
	cr_expect_eq(rig_number(one, "tasks"), 3);
	cr_expect(json_is_null(json_object_get(one, "tasks_max")), "it has no limit");
	cr_expect_eq(rig_number(one, "io_read_bytes"), 11);
	cr_expect_eq(rig_number(one, "io_write_bytes"), 22);
	cr_expect_eq(rig_number(one, "stall_cpu_usec"), 77);
	cr_expect(json_is_null(json_object_get(one, "stall_io_usec")));
	cr_expect_gt(rig_number(one, "at_usec"), 0);
	(void)snprintf(path, sizeof(path), "%s/cgroup/%s", rig.dir, leaf);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(rig_number(one, "cgroup_id"), (int64_t)st.st_ino);
	json_decref(list);
}

Test(stats, of_a_tenant_that_is_asked_for_though_nothing_of_it_runs, .init = set_up,
     .fini = tear_down)
{
	json_t *list = look("globex");
	const json_t *one = json_array_get(list, 0);

	/* It has no cgroup, as after a restart of the host. */
	cr_assert_eq(json_array_size(list), 1u);
	cr_expect_str_eq(rig_text(one, "tenant"), "globex");
	cr_expect(json_is_null(json_object_get(one, "cgroup_id")));
	cr_expect(json_is_null(json_object_get(one, "cpu_usec")));
	json_decref(list);
	rig_cgroup(&rig, "globex", 7);
	list = look("globex");
	cr_expect_eq(rig_number(json_array_get(list, 0), "cpu_usec"), 7);
	json_decref(list);
	list = look("acme");
	cr_expect_eq(json_array_size(list), 2u);
	json_decref(list);
	json_decref(rig_refused(&rig, asks, "io.tenantd.GetStats",
	                        json_pack("{s:s}", "tenant", "nobody"), "more",
	                        "io.tenantd.NotFound"));
}

Test(stats, leave_out_what_ends_meanwhile, .init = set_up, .fini = tear_down)
{
	struct spec_exited exited = rig_exited_of(&launch, W_EXITCODE(0, 0), 10);
	json_t *list;

	/* Its leaf has gone, which is not known yet. */
	rig_cgroup_remove(&rig, leaf);
	list = look(NULL);
	cr_expect_eq(json_array_size(list), 1u);
	json_decref(list);
	rig_exited(&rig, &exited);
	list = look(NULL);
	cr_expect_eq(json_array_size(list), 0u);
	json_decref(list);
}
