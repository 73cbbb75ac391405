/*
 * redis_fixture - a Redis for each test, a store on it, and one tenant whose quota a crowd takes from.
 */
#ifndef SEKISHO_T_REDIS_FIXTURE_H
#define SEKISHO_T_REDIS_FIXTURE_H

#include "policy/store.h"
#include "t/lib/redis_server.h"

extern struct redis_server the_redis;
extern struct str redis_address;       /* the one that redis_setup's configuration names; may be changed before redis_open */

/* A checked fixture: a server of its own for each test. */
void redis_begin(void);
void redis_end(void);

/* Half a second of patience; a store that fails defers. */
void redis_setup(struct config *config, bool by_socket);
struct store *redis_open(const struct config *config);

/* Moves the server's clock. */
void redis_pass_time(void *arg, int64_t us);
/* Just after the next JST midnight: no test runs over the end of a day or into another slot of its own accord. */
void redis_set_quiet_time(void);

/* Takes one of `limit` a day, rolling. */
bool redis_charge_one(struct store *st, const char *id, int64_t limit, bool *out_taken, struct err *err);
/* Until it works: a server that is there again is found again. */
void redis_charge_until_taken(struct store *st, const char *id);
/* What is taken of it, as soon as the server says. */
int64_t redis_used(struct store *st);
/* Until what nobody learnt the outcome of has been undone. */
void redis_wait_for_used(struct store *st, int64_t want);

#endif
