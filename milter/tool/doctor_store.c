/* sekisho doctor: what counts quotas. These come last: as root, opening a store gives root's rights away. */
#include <unistd.h>

#include "config/base/num.h"
#include "milter/tool/doctor.h"
#include "policy/store_redis_info.h"

/* SET with KEEPTTL, and scripts that write by the server's own clock. */
#define REDIS_OLDEST 6

static enum doctor_level look_embedded(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->store_path));
	struct err err;

	if (access(path, F_OK) != 0)
		return doctor_say_errno(doctor, path, "systemctl start sekisho-milter");
	if (!tool_store_open(doctor->tool, TOOL_LOOK, &err))
		return doctor_say(doctor, err.kind == ERR_BUSY && geteuid() != 0 ? DOCTOR_UNSEEN : DOCTOR_FAULT, NULL,
				  "store: %s", err.text);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "the store in %s opens", path);
}

/* "name:value" lines; asked once for all checks. */
static bool redis_says(struct doctor *doctor, const char *name, struct str *out, struct err *err)
{
	static struct str info;
	struct str rest, line, left, right;

	if (!info.len && !store_redis_info(doctor->config, &doctor->tool->arena, &info, err))
		return false;
	for (rest = info; str_next(&rest, '\n', &line);)
		if (str_cut(line, ':', &left, &right) && str_eq(left, str_from_c(name))) {
			*out = str_trim(right);
			return true;
		}
	return err_set(err, ERR_BUSY, "it does not say its %s", name);
}

static enum doctor_level look_version(struct doctor *doctor)
{
	struct str version, major = STR_EMPTY, rest;
	struct err err;
	uint64_t n;

	if (!redis_says(doctor, "redis_version", &version, &err))
		return doctor_say(doctor, DOCTOR_FAULT, "systemctl start redis-server", "Redis: %s", err.text);
	str_cut(version, '.', &major, &rest);
	if (!num_parse_u64(major, &n) || n < REDIS_OLDEST)
		return doctor_say(doctor, DOCTOR_FAULT, "apt-get install redis-server", "Redis is version " STR_FMT, STR_ARG(version));
	return doctor_say(doctor, DOCTOR_FINE, NULL, "Redis " STR_FMT " answers", STR_ARG(version));
}

static enum doctor_level look_eviction(struct doctor *doctor)
{
	struct str policy;
	struct err err;

	if (!redis_says(doctor, "maxmemory_policy", &policy, &err))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "Redis: %s", err.text);
	if (str_eq(policy, STR("noeviction")))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Redis forgets nothing before its time");
	return doctor_say(doctor, DOCTOR_FAULT, "redis.conf: maxmemory-policy noeviction", "Redis' maxmemory-policy is " STR_FMT,
			  STR_ARG(policy));
}

static enum doctor_level look_role(struct doctor *doctor)
{
	struct str role;
	struct err err;

	if (!redis_says(doctor, "role", &role, &err))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "Redis: %s", err.text);
	if (str_eq(role, STR("master")))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Redis takes what is written");
	return doctor_say(doctor, DOCTOR_FAULT, "sekisho.yaml: store: {redis: {addresses: [the master's]}}, or redis-cli REPLICAOF NO ONE",
			  "Redis is a " STR_FMT ", which takes no counts", STR_ARG(role));
}

static enum doctor_level look_persistence(struct doctor *doctor)
{
	struct str enabled;
	struct err err;

	if (!redis_says(doctor, "aof_enabled", &enabled, &err))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "Redis: %s", err.text);
	if (str_eq(enabled, STR("1")))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Redis writes down what it counts");
	return doctor_say(doctor, DOCTOR_NOTE, "redis.conf: appendonly yes", "Redis has appendonly no");
}

/* After a snapshot that failed, and after an append that did, Redis takes no writes as it comes. */
static enum doctor_level look_saving(struct doctor *doctor)
{
	static const struct {
		const char *name, *what;
	} rows[] = { { "rdb_last_bgsave_status", "snapshot" }, { "aof_last_write_status", "append" } };
	struct str status;
	struct err err;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (!redis_says(doctor, rows[i].name, &status, &err))
			return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "Redis: %s", err.text);
		if (!str_eq(status, STR("ok")))
			return doctor_say(doctor, DOCTOR_FAULT, "redis-cli CONFIG GET dir; give that directory room, and let Redis write there",
					  "Redis could not write its last %s", rows[i].what);
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "Redis can write to its disk");
}

static enum doctor_level look_memory(struct doctor *doctor)
{
	struct str used_text, max_text;
	uint64_t used, max;
	struct err err;

	if (!redis_says(doctor, "used_memory", &used_text, &err) || !redis_says(doctor, "maxmemory", &max_text, &err))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "Redis: %s", err.text);
	if (!num_parse_u64(used_text, &used) || !num_parse_u64(max_text, &max) || max == 0 || used / 9 < max / 10)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Redis has memory");
	return doctor_say(doctor, DOCTOR_NOTE, doctor_text(doctor, "redis.conf: maxmemory %llu", (unsigned long long)used * 2),
			  "Redis uses " STR_FMT " of " STR_FMT " octets", STR_ARG(used_text), STR_ARG(max_text));
}

const struct doctor_check doctor_store_checks[] = {
	{ "redis", DOCTOR_REDIS, "Quotas across relays are counted there.", look_version },
	{ "redis_eviction", DOCTOR_REDIS, "When memory is short, Redis throws counters away, and a quota begins anew.", look_eviction },
	{ "redis_role", DOCTOR_REDIS, "Without counters no quota can be held.", look_role },
	{ "redis_persistence", DOCTOR_REDIS, "When it stops hard it forgets what was counted since its last snapshot, and that much passes again.",
	  look_persistence },
	{ "redis_saving", DOCTOR_REDIS, "Redis takes no counts until it can, and without counters no quota can be held.", look_saving },
	{ "redis_memory", DOCTOR_REDIS, "When it is full Redis takes no counts, or throws others away.", look_memory },
	{ "store", DOCTOR_EMBEDDED, "Without counters no quota can be held.", look_embedded },
	{ NULL },
};
