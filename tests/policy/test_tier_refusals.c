/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy/tier.c: broken tier files and exactly what an admin is told of each. A row is
 * a file "tiers/free.yaml" and the message, without the file's name before it.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>
#include <policy/document.h>
#include <policy/tier.h>

TestSuite(policy_refusals, .timeout = 20);

#define X10(x)  x x x x x x x x x x
#define X300(x) X10(X10(x x x))
#define X64     X10("aaaaaa") "aaaa"

#define YAML     "; expected 'key: value' lines indented by spaces"
#define LINES    "; expected 'key: value' lines"
#define SIZE     "; expected bytes with an optional K, M, G or T, such as 512M"
#define SPAN     "; expected a time span in us, ms, s, min, h, d or w, such as 1h30min, or max"
#define PERCENT  "; expected percent of one CPU, 1% to 1000000%, such as 50% or 12.5%, or max"
#define NUMBER   "; expected a whole number such as 512"
#define WHOLE    "; expected a whole number"
#define NO_ALIAS "; expected no anchors or aliases"
#define A_PATH   "; expected a path such as /srv/data"
#define A_NAME                                                                                 \
	"1 to 63 of letters, digits, '_', '-', '.' and '@', beginning with a letter or '_', "  \
	"and a '$' at the end at most"
#define KEYS                                                                                   \
	"; this version enforces: tier, display_name, limits, quotas, rootfs, seccomp, "       \
	"network, "                                                                            \
	"binds, log, operators"
#define LIMITS                                                                                 \
	"; this version enforces: cpu_quota, cpu_weight, memory_max, memory_high, "            \
	"memory_swap_max, execution_memory_max, tasks_max, executions_max, runtime_max, "      \
	"cpu_time_max, nofile_max, core_max, fsize_max, oom, log_max, shrink_grace"

/* A tier file with one limit, whose value stands in column @column. */
#define LIMIT(key, value) "tier: free\nlimits:\n  " key ": " value "\n"
#define TIER(rest)        "tier: free\n" rest "\n"

struct refusal {
	const char *text;
	const char *message;
};

static const struct refusal refusals[] = {
	/* Not what libyaml calls YAML. */
	{ "", "1:1: nothing in it" LINES },
	{ "# only a comment\n", "1:1: nothing in it" LINES },
	{ "\ttier: free\n",
	  "1:1: malformed YAML: found character that cannot start any token" YAML },
	{ "tier: free\nlimits:\n\ttasks_max: 5\n",
	  "3:1: malformed YAML: found character that cannot start any token" YAML },
	{ "tier: free\nlimits:\n  tasks_max: 5\n\toom: group\n",
	  "4:1: malformed YAML: found a tab character that violates indentation" YAML },
	{ "tier: [free\n", "2:1: malformed YAML: did not find expected ',' or ']'" YAML },
	{ "tier: {free\n", "2:1: malformed YAML: did not find expected ',' or '}'" YAML },
	{ "tier: \"free\n", "2:1: malformed YAML: found unexpected end of stream" YAML },
	{ "tier: free\n limits: {}\n",
	  "2:8: malformed YAML: mapping values are not allowed in this context" YAML },
	{ "tier: free\nlimits: {}\n  rootfs: host\n",
	  "3:3: malformed YAML: did not find expected key" YAML },
	{ "tier: @free\n",
	  "1:7: malformed YAML: found character that cannot start any token" YAML },
	{ "tier: \"\\q\"\n", "1:8: malformed YAML: found unknown escape character" YAML },
	{ "tier: free\n}\n", "2:1: malformed YAML: did not find expected key" YAML },

	/* YAML that a policy file has no use for. */
	{ "tier: free\n---\ntier: pro\n",
	  "2:1: second document; expected one document in a file" },
	{ "%YAML 1.1\n---\ntier: free\n", "1:1: directive; expected a document without" },
	{ "%TAG ! tag:example.com:\n---\ntier: free\n",
	  "1:1: directive; expected a document without" },
	{ "tier: &name free\n", "1:7: anchor '&name'" NO_ALIAS },
	{ "tier: free\nlimits: &l {}\n", "2:9: anchor '&l'" NO_ALIAS },
	{ "tier: free\nbinds:\n  allow: &b []\n", "3:10: anchor '&b'" NO_ALIAS },
	{ "tier: *name\n", "1:7: alias '*name'" NO_ALIAS },
	{ "tier: free\nlimits: {<<: *l}\n", "2:14: alias '*l'" NO_ALIAS },
	{ "tier: !!str free\n", "1:7: tag 'tag:yaml.org,2002:str'; expected no tags" },
	{ "tier: ! free\n", "1:7: tag '!'; expected no tags" },
	{ "tier: free\nlimits: !!map {}\n",
	  "2:9: tag 'tag:yaml.org,2002:map'; expected no tags" },
	{ "tier: free\nbinds: {allow: !x []}\n", "2:16: tag '!x'; expected no tags" },
	{ "? [a, b]\n: c\n", "1:3: key is not plain text; expected a name" },
	{ "{a: b}: c\n", "1:1: key is not plain text; expected a name" },
	{ "tier: \"fr\\0ee\"\n", "1:7: NUL in a value; expected text without" },
	{ "\xef\xbb\xbftier: free\n", "1:1: byte order mark; expected UTF-8 without one" },
	{ "\xff\xfet", "1:1: invalid leading UTF-8 octet; expected UTF-8 text" },
	{ "tier: free\ndisplay_name: \xc3\x28\n",
	  "2:16: invalid trailing UTF-8 octet; expected UTF-8 text" },
	{ "tier: free\ndisplay_name: \x1b[31m\n",
	  "2:15: control characters are not allowed; expected UTF-8 text" },
	{ "tier: free\ndisplay_name: x\x7f\n",
	  "2:16: control characters are not allowed; expected UTF-8 text" },

	/* The shape of the file. */
	{ "free\n", "1:1: the file: a single value" LINES },
	{ "- tier: free\n", "1:1: the file: a list" LINES },
	{ "~\n", "1:1: the file: no value" LINES },
	{ "---\n", "2:1: the file: no value" LINES },
	{ "display_name: Free\n", "1:1: key 'tier' is missing; expected 'tier: free'" },
	{ "tier: free\ntier: free\n",
	  "2:1: duplicate key 'tier', first at tiers/free.yaml:1:1; expected it once" },
	{ "tier: free\nlimits:\n  tasks_max: 5\n  oom: group\n  tasks_max: 6\n",
	  "5:3: duplicate key 'tasks_max', first at tiers/free.yaml:3:3; expected it once" },
	{ "tier: free\nlimits: {}\n\"limits\": {}\n",
	  "3:1: duplicate key 'limits', first at tiers/free.yaml:2:1; expected it once" },

	/* Keys of this or another version's tiers, none of which is enforced here. */
	{ TIER("storage: {max: 10G}"), "2:1: unknown key 'storage'" KEYS },
	{ TIER("prices: {}"), "2:1: unknown key 'prices'" KEYS },
	{ TIER("proc: pid"), "2:1: unknown key 'proc'" KEYS },
	{ TIER("limit: {}"), "2:1: unknown key 'limit', did you mean 'limits'?" KEYS },
	{ TIER("Rootfs: host"), "2:1: unknown key 'Rootfs', did you mean 'rootfs'?" KEYS },
	{ TIER("memory_max: 1G"), "2:1: unknown key 'memory_max'" KEYS },
	{ TIER("? ''\n: x"), "2:3: unknown key ''" KEYS },
	{ TIER("\"a\\nb\\e\": x"), "2:1: unknown key 'a?b?'" KEYS },
	{ TIER(X10("abcdefghij") ": x"),
	  "2:1: unknown key '"
	  "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd"
	  "'" KEYS },
	{ LIMIT("io_write_bandwidth_max", "100M"),
	  "3:3: unknown key 'io_write_bandwidth_max' in limits" LIMITS },
	{ LIMIT("memroy_max", "1G"),
	  "3:3: unknown key 'memroy_max' in limits, did you mean 'memory_max'?" LIMITS },
	{ LIMIT("cpu-quota", "1%"),
	  "3:3: unknown key 'cpu-quota' in limits, did you mean 'cpu_quota'?" LIMITS },
	{ LIMIT("executon_memry_max", "1G"),
	  "3:3: unknown key 'executon_memry_max' in limits, did you mean "
	  "'execution_memory_max'?" LIMITS },
	{ LIMIT("cpu", "1"), "3:3: unknown key 'cpu' in limits" LIMITS },
	{ TIER("network: {mode: none, ports: [80]}"),
	  "2:23: unknown key 'ports' in network; this version enforces: mode" },
	{ TIER("binds: {deny: []}"),
	  "2:9: unknown key 'deny' in binds; this version enforces: allow, rw" },

	/* Values of other versions. */
	{ TIER("rootfs: image"),
	  "2:9: rootfs: 'image' is not enforced by this version; expected host" },
	{ TIER("rootfs: /srv/rootfs"),
	  "2:9: rootfs: '/srv/rootfs' is not enforced by this version; expected host" },
	{ TIER("rootfs:"), "2:8: rootfs: no value; expected host" },
	{ TIER("rootfs: [host]"), "2:9: rootfs: a list; expected host" },
	{ TIER("seccomp: unconfined"),
	  "2:10: seccomp: 'unconfined' is not enforced by this version; expected default" },
	{ TIER("seccomp: Default"),
	  "2:10: seccomp: 'Default' is not enforced by this version; expected default" },
	{ TIER("network: {mode: egress}"),
	  "2:17: mode: 'egress' is not enforced by this version; expected none" },
	{ TIER("network: {mode: open}"),
	  "2:17: mode: 'open' is not enforced by this version; expected none" },
	{ TIER("network: {mode: }"), "2:17: mode: no value; expected none" },
	{ TIER("network: none"), "2:10: network: a single value" LINES },

	/* Names. */
	{ "tier: pro\n", "1:7: tier: 'pro' is not the file's name; expected free" },
	{ "tier: fre\n", "1:7: tier: 'fre' is not the file's name; expected free" },
	{ "tier: Free\n", "1:7: tier: 'Free' is not a name; expected " NAME_RULE },
	{ "tier: free_tier\n", "1:7: tier: 'free_tier' is not a name; expected " NAME_RULE },
	{ "tier: -free\n", "1:7: tier: '-free' is not a name; expected " NAME_RULE },
	{ "tier: free-\n", "1:7: tier: 'free-' is not a name; expected " NAME_RULE },
	{ "tier: a/b\n", "1:7: tier: 'a/b' is not a name; expected " NAME_RULE },
	{ "tier: ..\n", "1:7: tier: '..' is not a name; expected " NAME_RULE },
	{ "tier: ../free\n", "1:7: tier: '../free' is not a name; expected " NAME_RULE },
	{ "tier: \"free\\n\"\n", "1:7: tier: 'free?' is not a name; expected " NAME_RULE },
	{ "tier: fr\xc3\xa9\n", "1:7: tier: 'fr?\?' is not a name; expected " NAME_RULE },
	{ "tier: " X300("a") "\n", "1:7: tier: '" X64 "' is not a name; expected " NAME_RULE },
	{ "tier:\n", "1:6: tier: no value; expected the tier's name" },
	{ "tier: null\n", "1:7: tier: no value; expected the tier's name" },
	{ "tier: ''\n", "1:7: tier: no value; expected the tier's name" },
	{ "tier: [free]\n", "1:7: tier: a list; expected the tier's name" },
	{ "tier: {free: 1}\n", "1:7: tier: a mapping; expected the tier's name" },
	{ TIER("display_name:"), "2:14: display_name: no value; expected a line of text" },
	{ TIER("display_name: [a]"), "2:15: display_name: a list; expected a line of text" },
	{ TIER("display_name: \"a\\nb\""),
	  "2:15: display_name: control characters; expected a line of text" },
	{ TIER("display_name: " X300("a")),
	  "2:15: display_name: too long; expected at most 127 bytes" },

	/* Limits. */
	{ TIER("limits:"), "2:8: limits: no value" LINES },
	{ TIER("limits: 5"), "2:9: limits: a single value" LINES },
	{ TIER("limits: [cpu_quota]"), "2:9: limits: a list" LINES },
	{ LIMIT("cpu_quota", ""), "3:13: cpu_quota: no value; expected a percentage" },
	{ LIMIT("cpu_quota", "0%"), "3:14: cpu_quota: '0%' is out of range" PERCENT },
	{ LIMIT("cpu_quota", "0.5%"), "3:14: cpu_quota: '0.5%' is out of range" PERCENT },
	{ LIMIT("cpu_quota", "-50%"), "3:14: cpu_quota: '-50%' is not a percentage" PERCENT },
	{ LIMIT("cpu_quota", "200"), "3:14: cpu_quota: '200' is not a percentage" PERCENT },
	{ LIMIT("cpu_quota", "1000001%"),
	  "3:14: cpu_quota: '1000001%' is out of range" PERCENT },
	{ LIMIT("cpu_quota", "[50%]"), "3:14: cpu_quota: a list; expected a percentage" },
	{ LIMIT("cpu_weight", "0"),
	  "3:15: cpu_weight: '0' is out of range; expected 1 to 10000" },
	{ LIMIT("cpu_weight", "10001"),
	  "3:15: cpu_weight: '10001' is out of range; expected 1 to 10000" },
	{ LIMIT("cpu_weight", "-1"), "3:15: cpu_weight: '-1' is not a number" NUMBER },
	{ LIMIT("cpu_weight", "1.5"), "3:15: cpu_weight: '1.5' is not a number" NUMBER },
	{ LIMIT("cpu_weight", "\"100\""), "3:15: cpu_weight: '100' is quoted" WHOLE },
	{ LIMIT("cpu_weight", "0x10"), "3:15: cpu_weight: '0x10' is not a number" NUMBER },
	{ LIMIT("cpu_weight", "010"), "3:15: cpu_weight: '010' is not a number" NUMBER },
	{ LIMIT("cpu_weight", "max"), "3:15: cpu_weight: 'max' is not a number" NUMBER },
	{ LIMIT("memory_max", "0"),
	  "3:15: memory_max: '0' is out of range; expected 4M to 1024T" },
	{ LIMIT("memory_max", "4095K"),
	  "3:15: memory_max: '4095K' is out of range; expected 4M to 1024T" },
	{ LIMIT("memory_max", "1025T"),
	  "3:15: memory_max: '1025T' is out of range; expected 4M to 1024T" },
	{ LIMIT("memory_max", "99999999999G"),
	  "3:15: memory_max: '99999999999G' is out of range" SIZE },
	{ LIMIT("memory_max", "18446744073709551616"),
	  "3:15: memory_max: '18446744073709551616' is out of range" SIZE },
	{ LIMIT("memory_max", "-1"), "3:15: memory_max: '-1' is not a size" SIZE },
	{ LIMIT("memory_max", "1.5G"), "3:15: memory_max: '1.5G' is not a size" SIZE },
	{ LIMIT("memory_max", "512MB"), "3:15: memory_max: '512MB' is not a size" SIZE },
	{ LIMIT("memory_max", "max"), "3:15: memory_max: 'max' is not a size" SIZE },
	{ LIMIT("memory_max", "{}"), "3:15: memory_max: a mapping; expected a size" },
	{ LIMIT("memory_max", "~"), "3:15: memory_max: no value; expected a size" },
	{ LIMIT("memory_high", "0"),
	  "3:16: memory_high: '0' is out of range; expected 4M to 1024T or max" },
	{ LIMIT("memory_high", "1%"), "3:16: memory_high: '1%' is not a size" SIZE ", or max" },
	{ LIMIT("memory_swap_max", "-0"),
	  "3:20: memory_swap_max: '-0' is not a size" SIZE ", or max" },
	{ LIMIT("execution_memory_max", "1M"),
	  "3:25: execution_memory_max: '1M' is out of range; expected 4M to 1024T" },
	{ LIMIT("tasks_max", "3"),
	  "3:14: tasks_max: '3' is out of range; expected 4 to 4194304" },
	{ LIMIT("tasks_max", "max"), "3:14: tasks_max: 'max' is not a number" NUMBER },
	{ LIMIT("executions_max", "0"),
	  "3:19: executions_max: '0' is out of range; expected 1 to 100000" },
	{ LIMIT("executions_max", "100001"),
	  "3:19: executions_max: '100001' is out of range; expected 1 to 100000" },
	{ LIMIT("executions_max", "1e3"),
	  "3:19: executions_max: '1e3' is not a number" NUMBER },
	{ LIMIT("runtime_max", "0"),
	  "3:16: runtime_max: '0' is out of range; expected 1ms to 36500d or max" },
	{ LIMIT("runtime_max", "36501d"),
	  "3:16: runtime_max: '36501d' is out of range; expected 1ms to 36500d or max" },
	{ LIMIT("cpu_time_max", "999us"),
	  "3:17: cpu_time_max: '999us' is out of range; expected 1ms to 36500d or max" },
	{ LIMIT("cpu_time_max", "50%"), "3:17: cpu_time_max: '50%' is not a time span" SPAN },
	{ LIMIT("runtime_max", "1h30"), "3:16: runtime_max: '1h30' is not a time span" SPAN },
	{ LIMIT("runtime_max", "1:30"), "3:16: runtime_max: '1:30' is not a time span" SPAN },
	{ LIMIT("runtime_max", "1month"),
	  "3:16: runtime_max: '1month' is not a time span" SPAN },
	{ LIMIT("runtime_max", "infinity"),
	  "3:16: runtime_max: 'infinity' is not a time span" SPAN },
	{ LIMIT("nofile_max", "15"),
	  "3:15: nofile_max: '15' is out of range; expected 16 to 1048576" },
	{ LIMIT("core_max", "-1"), "3:13: core_max: '-1' is not a size" SIZE ", or max" },
	{ LIMIT("log_max", "255K"),
	  "3:12: log_max: '255K' is out of range; expected 256K to 1T" },
	{ LIMIT("log_max", "max"), "3:12: log_max: 'max' is not a size; expected bytes with an "
	                           "optional K, M, G or T, such as 512M" },
	{ "tier: free\nlog: syslog\n",
	  "2:6: log: 'syslog' is not enforced by this version; expected file or journal" },
	{ "tier: free\nlog: [file]\n", "2:6: log: a list; expected file or journal" },
	{ LIMIT("fsize_max", "4095"),
	  "3:14: fsize_max: '4095' is out of range; expected 4K to 1024T or max" },
	{ LIMIT("oom", "kill"), "3:8: oom: 'kill' is unknown; expected group or process" },
	{ LIMIT("oom", ""), "3:7: oom: no value; expected group or process" },
	{ LIMIT("oom", "max"), "3:8: oom: 'max' is unknown; expected group or process" },

	/* Limits that contradict each other. */
	{ LIMIT("memory_max: 1G\n  memory_high", "2G"),
	  "4:16: memory_high: 2G is above memory_max (tiers/free.yaml:3:3); expected at most "
	  "1G" },
	{ LIMIT("memory_high: 2G\n  memory_max", "1G"),
	  "3:16: memory_high: 2G is above memory_max (tiers/free.yaml:4:3); expected at most "
	  "1G" },
	{ LIMIT("memory_high", "513M"),
	  "3:16: memory_high: 513M is above memory_max (default); expected at most 512M" },
	{ LIMIT("execution_memory_max: 1G\n  memory_max", "1023M"),
	  "3:25: execution_memory_max: 1G is above memory_max (tiers/free.yaml:4:3); "
	  "expected at most 1023M" },
	{ LIMIT("execution_memory_max", "1G"), "3:25: execution_memory_max: 1G is above "
	                                       "memory_max (default); expected at most 512M" },

	/* Binds. */
	{ TIER("operators: alice"), "2:12: operators: a single value" LINES },
	{ TIER("operators: {people: []}"),
	  "2:13: unknown key 'people' in operators; this version enforces: users, groups" },
	{ TIER("operators: {users: alice}"),
	  "2:20: users: not a list; expected one such as [alice, bob]" },
	{ TIER("operators: {users: ['']}"), "2:21: users: not a name; expected a user's name" },
	{ TIER("operators: {groups: [[a]]}"),
	  "2:22: groups: not a name; expected a group's name" },
	{ TIER("operators: {users: [1000]}"),
	  "2:21: users: '1000' is no name; expected a user's name, which is " A_NAME },
	{ TIER("operators: {groups: ['a b']}"),
	  "2:22: groups: 'a b' is no name; expected a group's name, which is " A_NAME },
	{ TIER("operators: {users: [" X64 "]}"),
	  "2:21: users: '" X64 "' is no name; expected a user's name, which is " A_NAME },
	{ TIER("operators: {users: [a, a]}"),
	  "2:24: users: 'a' stands there twice; expected it once" },
	{ TIER("binds: /srv"), "2:8: binds: a single value" LINES },
	{ TIER("binds: {allow: /srv}"),
	  "2:16: allow: not a list; expected one such as [/srv/data]" },
	{ TIER("binds: {allow: }"),
	  "2:16: allow: not a list; expected one such as [/srv/data]" },
	{ TIER("binds: {allow: ['']}"), "2:17: allow: not a path" A_PATH },
	{ TIER("binds: {allow: [[/srv]]}"), "2:17: allow: not a path" A_PATH },
	{ TIER("binds: {allow: [srv]}"), "2:17: allow: 'srv' is not absolute" A_PATH },
	{ TIER("binds: {allow: [/]}"), "2:17: allow: '/' is the whole host" A_PATH },
	{ TIER("binds: {allow: [/srv/]}"),
	  "2:17: allow: '/srv/' has an empty component" A_PATH },
	{ TIER("binds: {allow: [//srv]}"),
	  "2:17: allow: '//srv' has an empty component" A_PATH },
	{ TIER("binds: {allow: [/srv//a]}"),
	  "2:17: allow: '/srv//a' has an empty component" A_PATH },
	{ TIER("binds: {allow: [/srv/./a]}"),
	  "2:17: allow: '/srv/./a' has a '.' or '..' component" A_PATH },
	{ TIER("binds: {allow: [/srv/..]}"),
	  "2:17: allow: '/srv/..' has a '.' or '..' component" A_PATH },
	{ TIER("binds: {allow: [/..]}"),
	  "2:17: allow: '/..' has a '.' or '..' component" A_PATH },
	{ TIER("binds: {allow: [/proc]}"),
	  "2:17: allow: '/proc' belongs to the kernel's file systems" A_PATH },
	{ TIER("binds: {allow: [/srv, /sys/fs/cgroup]}"),
	  "2:23: allow: '/sys/fs/cgroup' belongs to the kernel's file systems" A_PATH },
	{ TIER("binds: {allow: [/dev/kvm]}"),
	  "2:17: allow: '/dev/kvm' belongs to the kernel's file systems" A_PATH },
	{ TIER("binds: {allow: [\"/srv/a\\nb\"]}"),
	  "2:17: allow: '/srv/a?b' has control characters" A_PATH },
	{ TIER("binds: {allow: [/" X300("a") "]}"),
	  "2:17: allow: '/" X10("aaaaaa") "aaa' is too long" A_PATH },
	{ TIER("binds: {allow: [/srv, /srv]}"),
	  "2:23: allow: '/srv' stands there twice; expected it once" },
	{ TIER("binds: {rw: [/srv]}"),
	  "2:14: rw: '/srv' is not within a path of allow; expected it there too" },
	{ TIER("binds: {allow: [/srv/a], rw: [/srv/a, /srv/ab]}"),
	  "2:39: rw: '/srv/ab' is not within a path of allow; expected it there too" },
	{ TIER("binds: {rw: [/srv/x], allow: [/srv/a]}"),
	  "2:14: rw: '/srv/x' is not within a path of allow; expected it there too" },
};

/* Large: not for the stack. */
static struct policy_tier tier;

/* @text is refused with @message, at its line, and nothing is written. */
static void expect_refusal(const char *text, size_t n, const char *message)
{
	char expected[TN_ERROR_MSG_BYTES];
	struct tn_error err = { 0 };

	(void)snprintf(expected, sizeof(expected), "tiers/free.yaml:%s", message);
	memset(&tier, 0x55, sizeof(tier));
	cr_assert_eq(policy_tier_parse("tiers/free.yaml", text, n, NULL, &tier, &err), -EINVAL,
	             "%s", text);
	cr_expect_str_eq(err.msg, expected);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_eq(err.line, strtoul(message, NULL, 10), "%s", message);
	for (size_t i = 0; i < sizeof(tier); i++)
		cr_assert_eq(((const char *)&tier)[i], 0x55,
		             "a refused file must change nothing");
}

ParameterizedTestParameters(policy_refusals, says_what_is_wrong_and_where)
{
	static size_t rows[ARRAY_LEN(refusals)];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = i;
	return cr_make_param_array(size_t, rows, ARRAY_LEN(rows));
}

ParameterizedTest(size_t *row, policy_refusals, says_what_is_wrong_and_where)
{
	const struct refusal *refusal = &refusals[*row];

	expect_refusal(refusal->text, strlen(refusal->text), refusal->message);
}

Test(policy_refusals, finds_a_nul_byte)
{
	static const char text[] = "tier: free\nrootfs: ho\0st\n";

	expect_refusal(text, sizeof(text) - 1, "2:11: NUL byte; expected UTF-8 text");
}

Test(policy_refusals, finds_utf_16)
{
	static const char text[] = "\xff\xfet\0i\0e\0r\0";

	expect_refusal(text, sizeof(text) - 1, "1:4: NUL byte; expected UTF-8 text");
}

Test(policy_refusals, does_not_parse_a_file_that_is_too_large)
{
	cleanup_free char *text = malloc(DOCUMENT_BYTES_MAX + 1);

	memset(text, ' ', DOCUMENT_BYTES_MAX + 1);
	memcpy(text, "tier: free\n", 11);
	expect_refusal(text, DOCUMENT_BYTES_MAX + 1,
	               "1:1: larger than 65536 bytes; expected at most that");
}

Test(policy_refusals, stops_where_it_gets_too_deep)
{
	expect_refusal("[[[[[[[[x]]]]]]]]", 17, "1:1: the file: a list" LINES);
	expect_refusal("[[[[[[[[[x]]]]]]]]]", 19,
	               "1:9: nested too deeply; expected at most 8 levels");
	expect_refusal("a: {b: {c: {d: {e: {f: {g: {h: {i: }}}}}}}}", 43,
	               "1:32: nested too deeply; expected at most 8 levels");
}

Test(policy_refusals, survives_as_deep_a_file_as_may_be)
{
	cleanup_free char *text = malloc(DOCUMENT_BYTES_MAX);

	memset(text, '[', DOCUMENT_BYTES_MAX);
	expect_refusal(text, DOCUMENT_BYTES_MAX,
	               "1:9: nested too deeply; expected at most 8 levels");
}

Test(policy_refusals, stops_where_there_are_too_many_values)
{
	cleanup_free char *text = malloc(DOCUMENT_BYTES_MAX);
	size_t n = 0;

	/* The list itself is the first of them, and each takes two characters. */
	text[n++] = '[';
	for (int i = 0; i < DOCUMENT_NODES_MAX; i++) {
		text[n++] = 'x';
		text[n++] = ',';
	}
	text[n++] = ']';
	expect_refusal(text, n, "1:8192: too many values; expected at most 4096");
}

Test(policy_refusals, allows_no_more_paths_than_there_is_room_for)
{
	char text[2048];
	size_t n = (size_t)snprintf(text, sizeof(text), "tier: free\nbinds:\n  allow:\n");

	for (int i = 0; i <= POLICY_BINDS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  - /srv/%d\n", i);
	expect_refusal(text, n, "36:5: allow: too many paths; expected at most 32");
}

Test(policy_refusals, does_not_cut_a_file_name)
{
	char file[POLICY_FILE_BYTES_MAX + 1];
	struct tn_error err = { 0 };

	memset(file, 'a', sizeof(file) - 1);
	file[sizeof(file) - 1] = '\0';
	cr_expect_eq(policy_tier_parse(file, "tier: free", 10, NULL, &tier, &err), -EINVAL);
	cr_expect_str_eq(err.msg, X64 "...: file name too long; expected at most 95");
}
