/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <base/backup.h>
#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>
#include <policy/digest.h>

/* So long the loop has for others between two steps. */
#define BACKUP_PAUSE_USEC INT64_C(1000)
/* So many tenants in one step, and so many bytes of the digest. */
#define BACKUP_TENANTS 64
#define BACKUP_PIECE   131072

struct backup {
	struct backup_config config;
	struct loop_source *timer;
	backup_done_fn *done; /* NULL: none is made */
	void *userdata;
	/* What there is to do next: 1 if that is not all of it, 0 if it is. */
	int (*step)(struct backup *backup, struct tn_error *err);
	struct backup_about about;
	char tenant[NAME_BYTES_MAX]; /* the last one written down */
	FILE *text;                  /* behind the store's copy, in memory until then */
	char *text_bytes;
	size_t text_n;
	int fd;
	int64_t store_bytes;
	int64_t digested;
	struct digest *digest;
	char piece[BACKUP_PIECE];
};

static int no_memory(struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, ENOMEM, "make a backup");
}

/* Of what has been gathered; the timer stays. */
static void drop(struct backup *backup)
{
	loop_disarm(backup->timer);
	backup->config.store->ops->copy_end(backup->config.store);
	backup->digest = digest_free(backup->digest);
	if (backup->text != NULL)
		(void)fclose(backup->text);
	backup->text = NULL;
	free(backup->text_bytes);
	backup->text_bytes = NULL;
	fd_closep(&backup->fd);
	backup->done = NULL;
}

static void end(struct backup *backup, const struct tn_error *why)
{
	backup_done_fn *done = backup->done;
	void *userdata = backup->userdata;
	cleanup_fd int fd = fd_take(&backup->fd);

	drop(backup);
	done(userdata, why == NULL ? fd : FD_NONE, &backup->about, why);
}

static int digest_step(struct backup *backup, struct tn_error *err)
{
	const int64_t left = backup->about.bytes - backup->digested;
	const size_t n = left < BACKUP_PIECE ? (size_t)left : BACKUP_PIECE;
	char hex[DIGEST_HEX_SIZE], trailer[BACKUP_TRAILER_BYTES + 1];
	ssize_t got = pread(backup->fd, backup->piece, n, backup->digested);
	int r;

	if (got != (ssize_t)n)
		return err_set(err, TN_SYSTEM, got < 0 ? errno : EIO, "read a backup");
	digest_add(backup->digest, backup->piece, n);
	backup->digested += (int64_t)n;
	if (backup->digested < backup->about.bytes)
		return 1;
	digest_hex(backup->digest, hex);
	(void)snprintf(trailer, sizeof(trailer), BACKUP_MAGIC "%0*" PRId64 " %s\n",
	               BACKUP_OFFSET_DIGITS, backup->store_bytes, hex);
	r = io_write_all(backup->fd, trailer, BACKUP_TRAILER_BYTES);
	if (r < 0)
		return err_set(err, TN_SYSTEM, -r, "write a backup: %s", strerror(-r));
	backup->about.bytes += (int64_t)BACKUP_TRAILER_BYTES;
	return lseek(backup->fd, 0, SEEK_SET) < 0 ? err_errno(err, "write a backup") : 0;
}

/* What has been gathered goes behind the store, which is complete. */
static int join(struct backup *backup, struct tn_error *err)
{
	struct store *store = backup->config.store;
	off_t end;
	int r = fclose(backup->text);

	backup->text = NULL;
	if (r != 0)
		return no_memory(err);
	backup->fd = store->ops->copy_take(store, err);
	if (backup->fd < 0)
		return backup->fd;
	end = lseek(backup->fd, 0, SEEK_END);
	if (end < 0)
		return err_errno(err, "write a backup");
	r = io_write_all(backup->fd, backup->text_bytes, backup->text_n);
	if (r < 0)
		return err_set(err, TN_SYSTEM, -r, "write a backup: %s", strerror(-r));
	backup->store_bytes = end;
	backup->about.bytes = end + (int64_t)backup->text_n;
	backup->digested = 0;
	backup->digest = digest_new();
	backup->step = digest_step;
	return backup->digest == NULL ? no_memory(err) : 1;
}

static void policy_write(struct backup *backup)
{
	const struct policy_file *file;

	for (size_t i = 0; (file = policy_file_at(backup->config.policies->present, i)) != NULL;
	     i++) {
		(void)fprintf(backup->text, "file %s %zu\n", file->name, file->n);
		(void)fwrite(file->text, 1, file->n, backup->text);
		(void)fputc('\n', backup->text);
	}
}

static int tenants_step(struct backup *backup, struct tn_error *err)
{
	struct store *store = backup->config.store;
	struct store_copied_tenant tenant;
	char id[ID_TEXT_BYTES];

	for (int i = 0; i < BACKUP_TENANTS; i++) {
		int r = store->ops->copy_tenant_next(store, backup->tenant, &tenant, err);

		if (r < 0)
			return r;
		if (r == 0) {
			policy_write(backup);
			return join(backup, err);
		}
		(void)snprintf(backup->tenant, sizeof(backup->tenant), "%s", tenant.name);
		/* One that is being made has none yet. */
		if (tenant.uid_count <= 0)
			continue;
		id_format(&tenant.id, id);
		(void)fprintf(backup->text, "slot %s %s %" PRId64 " %" PRId64 "\n", id,
		              tenant.name, tenant.uid_first, tenant.uid_count);
		backup->about.tenants++;
	}
	return 1;
}

/* Its first lines, as of when the copy was complete. */
static int text_begin(struct backup *backup, struct tn_error *err)
{
	struct backup_about *about = &backup->about;

	backup->text = open_memstream(&backup->text_bytes, &backup->text_n);
	if (backup->text == NULL)
		return no_memory(err);
	about->created_at = clock_usec(CLOCK_REALTIME);
	(void)snprintf(about->policy_hash, sizeof(about->policy_hash), "%s",
	               policy_hash_hex(backup->config.policies->present));
	(void)fprintf(backup->text,
	              "created_at %" PRId64 "\nversion %s\nschema %d\npolicy_hash %s\n",
	              about->created_at, TENANTD_VERSION, BACKUP_SCHEMA, about->policy_hash);
	backup->step = tenants_step;
	return 1;
}

static int copy_step(struct backup *backup, struct tn_error *err)
{
	struct store *store = backup->config.store;
	int r = store->ops->copy_step(store, err);

	return r != 0 ? r : text_begin(backup, err);
}

static void on_turn(void *userdata, uint32_t events)
{
	struct backup *backup = userdata;
	struct tn_error err = { 0 };
	int r = backup->step(backup, &err);

	(void)events;
	if (r == 1)
		loop_arm(backup->timer, BACKUP_PAUSE_USEC);
	else
		end(backup, r < 0 ? &err : NULL);
}

int backup_new(struct backup **ret, const struct backup_config *config, struct tn_error *err)
{
	struct backup *backup = calloc(1, sizeof(*backup));
	int r;

	if (backup == NULL)
		return no_memory(err);
	backup->config = *config;
	backup->fd = FD_NONE;
	r = loop_timer(config->loop, (struct loop_handler){ on_turn, backup }, &backup->timer,
	               err);
	if (r < 0) {
		free(backup);
		return r;
	}
	*ret = backup;
	return 0;
}

struct backup *backup_free(struct backup *backup)
{
	if (backup == NULL)
		return NULL;
	backup_cancel(backup);
	backup->timer = loop_source_free(backup->timer);
	free(backup);
	return NULL;
}

int backup_begin(struct backup *backup, backup_done_fn *done, void *userdata,
                 struct tn_error *err)
{
	struct store *store = backup->config.store;
	int r;

	if (backup->done != NULL)
		return err_refuse(err, TN_STATE, "another backup is being made");
	r = store->ops->copy_begin(store, err);
	if (r < 0)
		return r;
	backup->about = (struct backup_about){ 0 };
	backup->tenant[0] = '\0';
	backup->done = done;
	backup->userdata = userdata;
	backup->step = copy_step;
	loop_arm(backup->timer, BACKUP_PAUSE_USEC);
	return 0;
}

void backup_cancel(struct backup *backup)
{
	if (backup->done != NULL)
		drop(backup);
}
