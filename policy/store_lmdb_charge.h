/*
 * store_lmdb_charge - taking quotas in one LMDB transaction, and giving them back.
 *
 * A charge's record is what a refund needs, one group a take that added something, each key after the first without
 * what it shares with the one before:
 *
 *     version(1)  { window(1) calendar(1) period shared-octets rest-octets rest at before delta } ...    (varints)
 */
#ifndef SEKISHO_STORE_LMDB_CHARGE_H
#define SEKISHO_STORE_LMDB_CHARGE_H

#include "policy/store_lmdb_record.h"

/* As store_ops' charge and refund. */
bool lmdb_env_charge(struct lmdb_env *env, const struct store_charge *charge, struct store_charged *out,
		     struct err *err);
bool lmdb_env_refund(struct lmdb_env *env, struct str tenant, struct str id, struct err *err);

#endif
