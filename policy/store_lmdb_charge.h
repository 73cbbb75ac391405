/*
 * store_lmdb_charge - taking quotas in one LMDB transaction, and giving them back by the book.
 */
#ifndef SEKISHO_STORE_LMDB_CHARGE_H
#define SEKISHO_STORE_LMDB_CHARGE_H

#include "policy/charge_book.h"
#include "policy/store_lmdb_record.h"

/* As store_ops' charge and refund. */
bool lmdb_env_charge(struct lmdb_env *env, struct charge_book *book, const struct store_charge *charge,
		     struct store_charged *out, struct err *err);
bool lmdb_env_refund(struct lmdb_env *env, struct charge_book *book, struct str tenant, struct str id, struct err *err);

#endif
