#include "milter/restart.h"

#include "config/base/log.h"

static bool is_same_list(struct str_list a, struct str_list b)
{
	bool is_same = a.count == b.count;

	for (size_t i = 0; is_same && i < a.count; i++)
		is_same = str_eq(a.items[i], b.items[i]);
	return is_same;
}

/* What a password or a certificate's file holds is read again by itself. */
static bool has_same_redis(const struct config *a, const struct config *b)
{
	return a->redis_mode == b->redis_mode && is_same_list(a->redis_addresses, b->redis_addresses) &&
	       str_eq(a->redis_master, b->redis_master) && a->redis_database == b->redis_database &&
	       str_eq(a->redis_user, b->redis_user) && str_eq(a->redis_password_file, b->redis_password_file) &&
	       str_eq(a->redis_sentinel_password_file, b->redis_sentinel_password_file) && a->redis_tls == b->redis_tls &&
	       str_eq(a->redis_ca_file, b->redis_ca_file) && str_eq(a->redis_cert_file, b->redis_cert_file) &&
	       str_eq(a->redis_key_file, b->redis_key_file);
}

static bool has_same_store(const struct config *a, const struct config *b)
{
	bool is_redis = b->store_backend == STORE_REDIS,
	     had_local = a->on_store_failure == STORE_FAILURE_LOCAL, has_local = b->on_store_failure == STORE_FAILURE_LOCAL;

	return str_eq(a->store_path, b->store_path) && a->store_backend == b->store_backend &&
	       a->store_size_max == b->store_size_max &&
	       (!is_redis || (a->store_timeout_us == b->store_timeout_us && a->store_local_share == b->store_local_share &&
			      had_local == has_local && has_same_redis(a, b)));
}

void restart_warn(const struct restart_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!rows[i].is_same)
			log_warn("%s has changed in the configuration; that takes effect at the next start", rows[i].name);
}

void restart_warn_common(const struct config *old, const struct config *new)
{
	const struct restart_row rows[] = {
		{ "node", str_eq(old->node, new->node) },
		{ "state_dir", str_eq(old->state_dir, new->state_dir) },
		{ "pid_file", str_eq(old->pid_file, new->pid_file) },
		{ "store", has_same_store(old, new) },
		{ "relay_log", str_eq(old->log_dir, new->log_dir) && str_eq(old->log_key_file, new->log_key_file) &&
				       str_eq(old->log_keyring, new->log_keyring) && old->log_is_sealed == new->log_is_sealed &&
				       old->checkpoint_busy_us == new->checkpoint_busy_us &&
				       old->checkpoint_idle_us == new->checkpoint_idle_us &&
				       old->preallocate == new->preallocate && old->disk_warn_percent == new->disk_warn_percent },
		{ "log", old->log_to_syslog == new->log_to_syslog && old->log_level == new->log_level },
	};

	restart_warn(rows, sizeof rows / sizeof *rows);
}
