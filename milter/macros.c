#include "milter/macros.h"

#include <stdatomic.h>

static const char *const stage_names[MACROS_STAGES] = { [MACROS_MAIL] = "mail", [MACROS_DATA] = "data", [MACROS_EOM] = "eom" };

static const struct {
	const char *name;
	size_t offset;
} rows[] = {
	{ "i", offsetof(struct session_macros, queue_id) },
	{ "{auth_authen}", offsetof(struct session_macros, auth_authen) },
	{ "{daemon_name}", offsetof(struct session_macros, daemon_name) },
	{ "{tls_version}", offsetof(struct session_macros, tls_version) },
	{ "{verify}", offsetof(struct session_macros, verify) },
	{ "{cert_subject}", offsetof(struct session_macros, cert_subject) },
	{ "{cert_issuer}", offsetof(struct session_macros, cert_issuer) },
};
#define ROWS (sizeof rows / sizeof *rows)

static _Atomic int64_t counts[MACROS_STAGES];
static _Atomic uint32_t seen[MACROS_STAGES];   /* a bit a row */

void macros_note(enum macros_stage stage, const struct session_macros *macros)
{
	uint32_t found = 0;

	for (size_t i = 0; i < ROWS; i++)
		if (((const struct str *)(const void *)((const char *)macros + rows[i].offset))->len)
			found |= UINT32_C(1) << i;
	atomic_fetch_add_explicit(&counts[stage], 1, memory_order_relaxed);
	/* Written only when there is news: the line is shared by all threads. */
	if (found & ~atomic_load_explicit(&seen[stage], memory_order_relaxed))
		atomic_fetch_or_explicit(&seen[stage], found, memory_order_relaxed);
}

void macros_write(struct json *json)
{
	json_object_open(json);
	for (size_t stage = 0; stage < MACROS_STAGES; stage++) {
		json_key(json, stage_names[stage]);
		json_object_open(json);
		json_member_i64(json, "count", atomic_load(&counts[stage]));
		json_key(json, "seen");
		json_array_open(json);
		for (size_t i = 0; i < ROWS; i++)
			if (atomic_load(&seen[stage]) & UINT32_C(1) << i)
				json_str(json, str_from_c(rows[i].name));
		json_array_close(json);
		json_object_close(json);
	}
	json_object_close(json);
}
