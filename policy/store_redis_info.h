/*
 * store_redis_info - what a Redis server says of itself (INFO), for who looks after it.
 *
 * Memory   the text lies in the caller's arena; in a cluster it is one node's
 * Errors   ERR_BUSY: it does not answer; ERR_CONFIG: settings that cannot work
 */
#ifndef SEKISHO_STORE_REDIS_INFO_H
#define SEKISHO_STORE_REDIS_INFO_H

#include "config/config.h"

bool store_redis_info(const struct config *config, struct arena *arena, struct str *out, struct err *err);

#endif
