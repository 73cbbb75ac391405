/*
 * config_snapshot - an empty snapshot to be filled: config_load's only. It dies with config_free or its last release.
 */
#ifndef SEKISHO_CONFIG_SNAPSHOT_H
#define SEKISHO_CONFIG_SNAPSHOT_H

#include "config/config.h"

struct config *config_snapshot_new(void);      /* NULL: out of memory */

#endif
