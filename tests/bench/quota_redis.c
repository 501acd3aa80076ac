/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* redis by hiredis: INCRBY, which knows no limit. */
#include "quota.h"

#include <err.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

struct target {
	redisContext *redis;
	const struct target_options *options;
};

const size_t target_flights_max = 4096;

struct target *target_open(const struct target_options *options)
{
	struct target *target = calloc(1, sizeof(*target));

	if (target == NULL)
		err(1, "calloc");
	target->options = options;
	target->redis = redisConnectUnix(options->address);
	if (target->redis == NULL || target->redis->err != 0)
		errx(1, "%s: %s", options->address,
		     target->redis != NULL ? target->redis->errstr : "out of memory");
	return target;
}

void target_close(struct target *target)
{
	redisFree(target->redis);
	free(target);
}

void target_queue(struct target *target, size_t i)
{
	if (redisAppendCommand(target->redis, "INCRBY %s 1", target->options->subjects[i]) !=
	    REDIS_OK)
		errx(1, "INCRBY: %s", target->redis->errstr);
}

void target_flush(struct target *target)
{
	int done = 0;

	while (done == 0)
		if (redisBufferWrite(target->redis, &done) != REDIS_OK)
			errx(1, "redis: %s", target->redis->errstr);
}

/* Of what has arrived: false if that is no whole answer. */
static bool answer(struct target *target)
{
	redisReply *reply = NULL;
	void *taken;

	if (redisGetReplyFromReader(target->redis, &taken) != REDIS_OK)
		errx(1, "redis: %s", target->redis->errstr);
	reply = taken;
	if (reply == NULL)
		return false;
	if (reply->type != REDIS_REPLY_INTEGER)
		errx(1, "INCRBY: %s", reply->str != NULL ? reply->str : "no number");
	freeReplyObject(reply);
	return true;
}

size_t target_take(struct target *target)
{
	size_t taken = 0;

	while (taken == 0) {
		if (redisBufferRead(target->redis) != REDIS_OK)
			errx(1, "redis: %s", target->redis->errstr);
		while (answer(target))
			taken++;
	}
	return taken;
}
