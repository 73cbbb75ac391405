/*
 * local_fixture - redis_fixture's store where it counts alone while Redis does not answer (on_store_failure: local).
 *
 * A test lets Redis hang by SIGSTOP to the_redis.pid, and come back by SIGCONT; all charges are redis_charge_one's.
 */
#ifndef SEKISHO_T_LOCAL_FIXTURE_H
#define SEKISHO_T_LOCAL_FIXTURE_H

#include "t/lib/redis_fixture.h"

/* As redis_setup, with an embedded store in the server's directory; alone it gives out `share` per cent of a limit. */
void local_setup(struct config *config, int64_t share);

/* Takes so many, as "shared-0", "shared-1" ..., while Redis answers. */
void local_charge_shared(struct store *st, int count);
/* Asks so many times for one of `limit`, as "alone-0", "alone-1" ...: fails the test unless just the first `taken` are given out. */
void local_charge_alone(struct store *st, int count, int64_t limit, int taken);
/* Until counts are shared again, and Redis itself says that so much is taken. */
void local_wait_for_merged(struct store *st, int64_t least, int64_t most);

#endif
