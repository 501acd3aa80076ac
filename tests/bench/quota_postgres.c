/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PostgreSQL by libpq in its pipeline mode: one prepared UPDATE that takes one if that fits.
 * Each is a transaction of its own, so that each answer counts whatever becomes of the next.
 * The table is quotas (id, used, max), of which the row n is the n-th subject's.
 */
#include "quota.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include <libpq-fe.h>

#define STATEMENT "consume"
#define UPDATE                                                                                 \
	"UPDATE quotas SET used = used + 1 WHERE id = $1 AND used + 1 <= max RETURNING used"

struct target {
	PGconn *connection;
	char ids[SUBJECTS_MAX][4];
};

const size_t target_flights_max = 4096;

struct target *target_open(const struct target_options *options)
{
	struct target *target = calloc(1, sizeof(*target));
	PGresult *result;

	if (target == NULL)
		err(1, "calloc");
	for (size_t i = 0; i < options->subjects_n; i++)
		(void)snprintf(target->ids[i], sizeof(target->ids[i]), "%zu", i + 1);
	target->connection = PQconnectdb(options->address);
	if (PQstatus(target->connection) != CONNECTION_OK)
		errx(1, "%s", PQerrorMessage(target->connection));
	result = PQprepare(target->connection, STATEMENT, UPDATE, 1, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK ||
	    PQenterPipelineMode(target->connection) != 1)
		errx(1, "prepare: %s", PQerrorMessage(target->connection));
	PQclear(result);
	return target;
}

void target_close(struct target *target)
{
	PQfinish(target->connection);
	free(target);
}

/* The end of a transaction is written at once: libpq does so. */
void target_queue(struct target *target, size_t i)
{
	const char *const values[] = { target->ids[i] };

	if (PQsendQueryPrepared(target->connection, STATEMENT, 1, values, NULL, NULL, 0) != 1 ||
	    PQpipelineSync(target->connection) != 1)
		errx(1, "UPDATE: %s", PQerrorMessage(target->connection));
}

void target_flush(struct target *target)
{
	if (PQflush(target->connection) != 0)
		errx(1, "PostgreSQL: %s", PQerrorMessage(target->connection));
}

/* The rows of an UPDATE, the NULL behind them, and the end of its transaction. */
size_t target_take(struct target *target)
{
	PGresult *rows = PQgetResult(target->connection);
	PGresult *none = PQgetResult(target->connection);
	PGresult *sync = PQgetResult(target->connection);

	if (PQresultStatus(rows) != PGRES_TUPLES_OK || PQntuples(rows) != 1 || none != NULL ||
	    PQresultStatus(sync) != PGRES_PIPELINE_SYNC)
		errx(1, "UPDATE: %s", PQerrorMessage(target->connection));
	PQclear(rows);
	PQclear(sync);
	return 1;
}
