/*
 * config_return - whose return paths are at which domain: one sorted table for all tenants, asked in two searches.
 */
#ifndef SEKISHO_CONFIG_RETURN_H
#define SEKISHO_CONFIG_RETURN_H

#include "config/config_read.h"

/* Fills config->return_owners; all tenants are known. */
bool config_return_build(struct reader *r, struct config *config);

#endif
