/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channel between tenant-controller and tenantd: fixed binary messages on a
 * SOCK_SEQPACKET pair, resources as descriptors beside them. This is the one header
 * of isolate/ that others include.
 *
 * Every message begins with struct spec_head and has exactly the size of its
 * struct; text is NUL-terminated within its array; what is unused is zero. tenantd
 * believes none of it: each field is checked against bounds.conf before it is used.
 *
 * Order: tenantd speaks first (SPEC_HELLO), the controller answers SPEC_READY when its
 * policy and store are open. Then the controller sends requests. tenantd answers
 * SPEC_TENANT_APPLY, _REMOVE, _FREEZE, _DELETE, _SQUEEZE and SPEC_DATA with SPEC_REPLY, in
 * order; SPEC_LAUNCH with SPEC_STARTED, then, if that carried no error, with SPEC_EXITED once
 * the leaf is gone; SPEC_JOIN in the same way, with SPEC_EXITED once its command has ended;
 * SPEC_SIGNAL and SPEC_KILL, which take either's id, with nothing, SPEC_RESERVE with
 * SPEC_RESERVED some time later. The controller answers SPEC_EXITED with SPEC_SETTLED when the
 * ledger has the record. After a restart of either side tenantd repeats SPEC_STARTED for what
 * runs and SPEC_EXITED for what is unsettled, with serial 0, before anything else but
 * SPEC_HELLO. SPEC_METER comes at any time after those, and before what is launched for its
 * tenant could have connected to it.
 *
 * Units: microseconds, bytes, counts; non-negative int64. SPEC_UNLIMITED lifts a
 * limit, SPEC_ABSENT says that the kernel gave no figure.
 */
#ifndef ISOLATE_SPEC_H
#define ISOLATE_SPEC_H

#include <stdint.h>

#include <base/id.h>
#include <base/name.h>
#include <tenant/error.h>

#define SPEC_VERSION          10
#define SPEC_MSG_BYTES_MAX    16384
#define SPEC_FDS_MAX          16
#define SPEC_PATH_BYTES_MAX   256
#define SPEC_DATA_BYTES_MAX   4096
#define SPEC_ENV_BYTES_MAX    4096
#define SPEC_STATUS_BYTES_MAX 512
#define SPEC_BINDS_MAX        12
#define SPEC_TMPFS_MAX        8
#define SPEC_HASH_BYTES       32
#define SPEC_FILTER_INSNS_MAX 3968 /* tenantd puts up to 128 before them */

#define SPEC_UNLIMITED INT64_MAX
#define SPEC_ABSENT    (-1)

/* The period of cpu.max that every quota is a share of. */
#define SPEC_CPU_PERIOD_USEC 100000

/* Descriptors that tenant-controller finds open when tenantd starts it. */
#define SPEC_CONTROLLER_CHANNEL_FD 3 /* this protocol */
#define SPEC_CONTROLLER_LISTEN_FD  4 /* the listening control socket */

/* Ids inside the sandbox: the workload runs as the first ordinary user unless told. */
#define SPEC_WORKLOAD_UID    1000
#define SPEC_UIDS_PER_TENANT 65536

/* The accounts of the sandbox's /etc/passwd, X(name, uid and gid, home, shell), and the
 * groups of its /etc/group, X(name, gid). */
#define SPEC_USERS(X)                                                                          \
	X("root", 0, "/root", "/usr/sbin/nologin")                                             \
	X("tenant", 1000, "/data", "/bin/sh")                                                  \
	X("nobody", 65534, "/nonexistent", "/usr/sbin/nologin")
#define SPEC_GROUPS(X) X("root", 0) X("tty", 5) X("tenant", 1000) X("nogroup", 65534)

enum spec_op {
	SPEC_HELLO = 1,      /* tenantd: fd 0 is an O_PATH of the cgroup tree's root */
	SPEC_TENANT_APPLY,   /* controller: fd 0 is the sealed seccomp filter */
	SPEC_TENANT_REMOVE,  /* controller */
	SPEC_LAUNCH,         /* controller: fds stdio (unless TTY), the arguments, the binds */
	SPEC_SIGNAL,         /* controller */
	SPEC_KILL,           /* controller */
	SPEC_SETTLED,        /* controller */
	SPEC_REPLY,          /* tenantd: fd 0 is a socket, to SPEC_DATA */
	SPEC_STARTED,        /* tenantd: fd 0 is the terminal's master, with TTY */
	SPEC_EXITED,         /* tenantd */
	SPEC_READY,          /* controller: it serves; the head alone */
	SPEC_TENANT_FREEZE,  /* controller */
	SPEC_TENANT_DELETE,  /* controller */
	SPEC_STATUS,         /* controller */
	SPEC_REPLAYED,       /* tenantd: it has told of all from before; the head alone */
	SPEC_TENANT_SQUEEZE, /* controller */
	SPEC_RESERVE,        /* controller */
	SPEC_RESERVED,       /* tenantd */
	SPEC_JOIN,           /* controller: fds stdio (unless TTY), the arguments */
	SPEC_SLOTS,          /* tenantd: after SPEC_HELLO */
	SPEC_DATA,           /* controller */
	SPEC_METER,          /* tenantd: fd 0, if there is one, is a listening socket */
};

struct spec_head {
	uint32_t bytes; /* of the whole message */
	uint16_t op;    /* enum spec_op */
	uint16_t version;
	uint64_t serial; /* of the request; copied into what answers it */
};

/* Bits of spec_hello.controllers: what the kernel enforces in this tree. */
enum spec_controller {
	SPEC_CONTROLLER_CPU = 1 << 0,
	SPEC_CONTROLLER_MEMORY = 1 << 1,
	SPEC_CONTROLLER_PIDS = 1 << 2,
	SPEC_CONTROLLER_IO = 1 << 3,
};

struct spec_hello {
	struct spec_head head;
	uint32_t controllers; /* enum spec_controller */
	uint32_t pad;
	int64_t tenants_max;
	int64_t executions_max;                 /* of one tenant */
	char cgroup_root[SPEC_PATH_BYTES_MAX];  /* as seen from the host */
	char storage_root[SPEC_PATH_BYTES_MAX]; /* parent of the tenants' directories */
};

/* What the tenant's cgroup holds for all of its executions together. */
struct spec_tenant_limits {
	int64_t cpu_quota_usec; /* per SPEC_CPU_PERIOD_USEC */
	int64_t cpu_weight;     /* 1 to 10000 */
	int64_t memory_max_bytes;
	int64_t memory_high_bytes;
	int64_t memory_swap_max_bytes;
	int64_t tasks_max;
	int64_t executions_max;
};

/* Whose slots are taken, at the beginning of a controller: those that it does not know, or
 * knows as deleted, are left over. Retired ones are not among them. */
#define SPEC_SLOTS_MAX 64
struct spec_slots {
	struct spec_head head;
	uint32_t n;
	uint32_t pad;
	struct id tenants[SPEC_SLOTS_MAX];
};

/* How it is, in words, for the unit's status; whatever is no printable character is replaced.
 */
struct spec_status {
	struct spec_head head;
	char text[SPEC_STATUS_BYTES_MAX]; /* as long as it is, or up to its NUL */
};

/*
 * What all tenants together leave to the host. SPEC_RESERVED says later whether that is held;
 * of several that are asked in a row, it speaks of the last.
 */
struct spec_reserve {
	struct spec_head head;
	int64_t memory_bytes;
	int64_t cpu_usec; /* per SPEC_CPU_PERIOD_USEC, of one CPU */
};

struct spec_reserved {
	struct spec_head head;
	struct tn_error error; /* code TN_OK: it is */
};

enum spec_apply_flag {
	SPEC_APPLY_MAY_KILL = 1 << 0, /* memory_max below what is in use is set all the same */
};

/*
 * Create the tenant's slot and cgroup, or bring an existing one to these limits. TN_STATE
 * without SPEC_APPLY_MAY_KILL if memory_max is below what is in use: then all are as they were.
 * A squeeze ends with it.
 */
struct spec_tenant_apply {
	struct spec_head head;
	struct id tenant;
	char name[NAME_BYTES_MAX];
	struct spec_tenant_limits limits;
	uint32_t flags; /* enum spec_apply_flag */
	uint32_t pad;
};

/*
 * Have the kernel slow the tenant down and take memory back while it uses more than so much.
 * The answer says that this has begun. It lasts until SPEC_TENANT_APPLY succeeds, which may say
 * the limits that the tenant has, or the controller or tenantd ends: then memory.high is as
 * before.
 */
struct spec_tenant_squeeze {
	struct spec_head head;
	struct id tenant;
	int64_t memory_high_bytes;
};

/* Undo a creation: refused unless nothing runs and nothing is stored. */
struct spec_tenant_remove {
	struct spec_head head;
	struct id tenant;
};

/*
 * Stop all that runs for the tenant where it is, or let it go on. The answer says that the
 * kernel has been told; that all have stopped shows in the node's cgroup.events. Meanwhile no
 * deadline comes nearer, and a launch is refused.
 */
struct spec_tenant_freeze {
	struct spec_head head;
	struct id tenant;
	uint32_t frozen; /* 0 or 1 */
	uint32_t pad;
};

enum spec_delete_how {
	SPEC_DELETE_CHECK = 0, /* only say whether anything runs or is stored */
	SPEC_DELETE_ALL = 1,   /* what is stored, too */
};

/*
 * Take the tenant's cgroup, namespaces and storage away. Refused while anything runs. The
 * answer says that nobody can get at any of it any more; the files go afterwards, and the
 * range of ids returns to the pool when the last has gone. That there is nothing of the tenant
 * is no failure.
 */
struct spec_tenant_delete {
	struct spec_head head;
	struct id tenant;
	uint32_t how; /* enum spec_delete_how */
	uint32_t pad;
};

enum spec_data_flag {
	SPEC_DATA_WRITABLE = 1 << 0, /* also to make, replace and change */
};

/*
 * Have the tenant's files served, of those @path and what lies below it, on the socket that
 * SPEC_REPLY comes with, by <base/data.h>. Whoever holds that can do there what the tenant's
 * own workload could, and no more: it is for a client, who keeps it whatever becomes of us.
 */
struct spec_data {
	struct spec_head head;
	struct id tenant;
	uint32_t flags; /* enum spec_data_flag */
	uint32_t pad;
	char path[SPEC_DATA_BYTES_MAX]; /* relative to /data, data_path_valid() */
};

/*
 * The socket that the tenant's workloads find at /run/tenant/meter.sock: whoever is accepted on
 * it is one of them, if his cgroup says so, too. Of a tenant that has one already it takes its
 * place. Without a descriptor there is none any more.
 */
struct spec_meter {
	struct spec_head head;
	struct id tenant;
};

/* Where a tenant lives, from the root-owned slot table. */
struct spec_slot {
	int64_t uid_first;
	int64_t uid_count;
	char cgroup[SPEC_PATH_BYTES_MAX];       /* as seen from the host */
	char storage_path[SPEC_PATH_BYTES_MAX]; /* mounted at /data */
};

struct spec_reply {
	struct spec_head head;
	struct id tenant;
	struct spec_slot slot; /* answers SPEC_TENANT_APPLY */
	struct tn_error error; /* code TN_OK: done */
};

/* Held by the leaf and by resource limits, for one execution. */
struct spec_execution_limits {
	int64_t cpu_quota_usec; /* per SPEC_CPU_PERIOD_USEC */
	int64_t memory_max_bytes;
	int64_t tasks_max;
	int64_t runtime_usec_max;  /* then SIGTERM */
	int64_t kill_after_usec;   /* after SIGTERM, then cgroup.kill */
	int64_t cpu_time_usec_max; /* of all processes of the leaf, then cgroup.kill */
	int64_t nofile_max;
	int64_t core_bytes_max;
	int64_t fsize_bytes_max;
};

enum spec_launch_flag {
	SPEC_LAUNCH_OOM_GROUP = 1 << 0, /* memory.oom.group on the leaf */
	SPEC_LAUNCH_TTY = 1 << 3,       /* a terminal of the sandbox's own instead of stdio */
	SPEC_LAUNCH_READ_ONLY = 1 << 1, /* /data and /cache cannot be written to */
	SPEC_LAUNCH_NO_INIT = 1 << 2,   /* the workload is pid 1 */
	SPEC_LAUNCH_ATTACHED = 1 << 4,  /* for a caller; kept for the controller's successor */
};

/* All of them: a launch with any other bit is refused. */
#define SPEC_LAUNCH_FLAGS                                                                      \
	(SPEC_LAUNCH_OOM_GROUP | SPEC_LAUNCH_READ_ONLY | SPEC_LAUNCH_NO_INIT |                 \
	 SPEC_LAUNCH_TTY | SPEC_LAUNCH_ATTACHED)

struct spec_bind {
	char target[SPEC_PATH_BYTES_MAX]; /* absolute, inside the sandbox */
	uint32_t writable;
	uint32_t pad;
};

struct spec_tmpfs {
	char target[SPEC_PATH_BYTES_MAX]; /* absolute, inside the sandbox */
	int64_t bytes_max;                /* at most memory_max_bytes */
};

/*
 * The arguments' descriptor is a sealed memfd: argc strings, then envc strings,
 * then the working directory, each ended by a NUL, args_bytes in all. Nobody
 * between the client and the sandbox parses it. @env is ours: strings of the same
 * form; those up to env_default_n give way to the client's, the others do not.
 */
struct spec_launch {
	struct spec_head head;
	struct id tenant;
	struct id execution;
	struct spec_execution_limits limits;
	uint8_t policy_hash[SPEC_HASH_BYTES];
	uint32_t flags; /* enum spec_launch_flag */
	uint32_t argc;  /* at least 1 */
	uint32_t envc;
	uint32_t args_bytes;
	uint32_t env_n;
	uint32_t env_default_n; /* the first of env_n */
	uint32_t env_bytes;
	uint32_t binds_n;
	uint32_t tty_rows; /* of the terminal, with SPEC_LAUNCH_TTY */
	uint32_t tty_cols;
	uint32_t uid; /* inside, below SPEC_UIDS_PER_TENANT */
	uint32_t gid;
	char env[SPEC_ENV_BYTES_MAX];
	struct spec_bind binds[SPEC_BINDS_MAX];
	uint32_t tmpfs_n;
	uint32_t pad;
	struct spec_tmpfs tmpfs[SPEC_TMPFS_MAX];
};

enum spec_join_flag {
	SPEC_JOIN_TTY = 1 << 0,  /* a terminal of the sandbox's own instead of stdio */
	SPEC_JOIN_USER = 1 << 1, /* as uid and gid; without it as what was launched */
};

/* All of them. */
#define SPEC_JOIN_FLAGS (SPEC_JOIN_TTY | SPEC_JOIN_USER)

/*
 * A further command in the leaf and the namespaces of an execution that runs, under the same
 * filter and limits, and with the environment that was ours at its launch. The arguments are
 * as in a launch. It ends with the execution at the latest, and has no counters: what it uses
 * is in the leaf's.
 */
struct spec_join {
	struct spec_head head;
	struct id tenant;
	struct id execution; /* of its own */
	struct id joins;     /* the one that runs */
	int64_t asked_uid;   /* who wants it: kept and repeated, no more */
	int64_t asked_pid;
	uint32_t flags; /* enum spec_join_flag */
	uint32_t argc;  /* at least 1 */
	uint32_t envc;
	uint32_t args_bytes;
	uint32_t tty_rows; /* of the terminal, with SPEC_JOIN_TTY */
	uint32_t tty_cols;
	uint32_t uid; /* inside, below SPEC_UIDS_PER_TENANT */
	uint32_t gid;
};

/* What SPEC_STARTED and SPEC_EXITED say beside that of a command that joined one. */
struct spec_joined {
	struct id joins; /* all zero: it is an execution itself */
	int64_t asked_uid;
	int64_t asked_pid;
};

struct spec_signal {
	struct spec_head head;
	struct id execution;
	int32_t signal;
	uint32_t pad;
};

/* Why we end an execution; the first to be asked for stands in its record. */
enum spec_kill_why {
	SPEC_KILL_NONE = 0,
	SPEC_KILL_ADMIN,
	SPEC_KILL_CLIENT_GONE,
	SPEC_KILL_TIMEOUT,
	SPEC_KILL_QUOTA,
	SPEC_KILL_CPU_TIME,       /* tenantd alone */
	SPEC_KILL_WITH_EXECUTION, /* tenantd alone: that which it had joined has ended */
};

struct spec_kill {
	struct spec_head head;
	struct id tenant;    /* all of this tenant's executions, if whole_tenant */
	struct id execution; /* else this one */
	uint32_t whole_tenant;
	uint32_t why; /* enum spec_kill_why */
	/* Not 0, with SPEC_KILL_ADMIN: @signal first, and cgroup.kill so much later; of two
	 * such the earlier, and one at once overtakes them. Time stands still for what is
	 * frozen. */
	int64_t grace_usec;
	int32_t signal;
	uint32_t pad;
};

struct spec_settled {
	struct spec_head head;
	struct id execution;
};

/* Answers SPEC_LAUNCH once the workload's exec has succeeded or anything failed. */
struct spec_started {
	struct spec_head head;
	struct id tenant;
	struct id execution;
	uint8_t policy_hash[SPEC_HASH_BYTES];
	int64_t started_unix_usec;
	uint32_t not_executed; /* the workload's exec failed; SPEC_EXITED follows */
	uint32_t attached;     /* launched with SPEC_LAUNCH_ATTACHED, or joined */
	struct spec_joined joined;
	struct tn_error error; /* not TN_OK: nothing was started, nothing is left */
};

/* Counters of one leaf; SPEC_ABSENT where the kernel keeps none. */
struct spec_counters {
	int64_t cpu_usec;
	int64_t cpu_user_usec;
	int64_t cpu_system_usec;
	int64_t throttled_usec;
	int64_t tenant_throttled_usec; /* of the tenant's node, while this execution ran */
	int64_t memory_peak_bytes;
	int64_t io_read_bytes;
	int64_t io_write_bytes;
	int64_t pids_peak;
	int64_t oom_kills;
	int64_t pids_refused;
	int64_t stall_cpu_usec;
	int64_t stall_memory_usec;
	int64_t stall_io_usec;
	/* Spent by us in the leaf, before exec and in tenant-init; the mounts are not made
	 * there. */
	int64_t overhead_usec;
};

enum spec_exit_kind {
	SPEC_EXIT_UNKNOWN = 0,  /* no status record: never invented */
	SPEC_EXIT_STATUS,       /* wait_status is the workload's */
	SPEC_EXIT_NOT_EXECUTED, /* exec_errno says why */
	SPEC_EXIT_SETUP_FAILED, /* the sandbox could not be completed; error says why */
};

struct spec_exited {
	struct spec_head head;
	struct id tenant;
	struct id execution;
	uint8_t policy_hash[SPEC_HASH_BYTES];
	int64_t started_unix_usec;
	int64_t ended_unix_usec;
	int64_t wall_usec;   /* CLOCK_BOOTTIME, less what its tenant was frozen */
	uint32_t kind;       /* enum spec_exit_kind */
	uint32_t killed;     /* enum spec_kill_why */
	int32_t wait_status; /* as waitpid(2) gives it */
	int32_t exec_errno;  /* positive */
	struct spec_joined joined;
	struct spec_counters counters;
	struct tn_error error; /* SPEC_EXIT_SETUP_FAILED */
};

#endif
