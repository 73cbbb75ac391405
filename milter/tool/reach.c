/* What commands reach for: the configuration, the store, and the trace of who did what. */
#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/memory.h"
#include "config/config_report.h"
#include "milter/classes.h"
#include "milter/reply.h"
#include "milter/tool/tool.h"
#include "policy/bounce_rules.h"

#define PATH_SIZE 4096
#define TRACE_MAX 8192
#define TOOL_QUEUE_MAX ((size_t)1 << 20)

static bool c_path(struct str path, char out[PATH_SIZE])
{
	if (path.len >= PATH_SIZE || memchr(path.ptr, '\0', path.len))
		return false;
	memcpy(out, path.ptr, path.len);
	out[path.len] = '\0';
	return true;
}

const struct config *tool_config(struct tool *tool)
{
	struct config_report report;
	char path[PATH_SIZE];
	struct err err;

	if (tool->config)
		return tool->config;
	if (!c_path(tool->config_path, path)) {
		tool_fail(tool, TOOL_UNKNOWN, "the configuration's path is too long");
		return NULL;
	}
	if (!config_load(path, &tool->config, &report)) {
		config_report_first(&report, &err);
		tool_fail(tool, TOOL_UNKNOWN, "%s%s", err.text,
			  access(path, F_OK) == 0 ? "" : "; -c FILE names another, sekisho.yaml(5) says what is in one");
		tool->config = NULL;
	}
	config_report_clear(&report);
	return tool->config;
}

bool tool_config_beside(const struct config *config, struct config_report *report)
{
	struct bounce_rules *rules;
	bool ok = reply_texts_check(config, report);

	classes_check(config, report);
	if (config->bounce_rules_file.len == 0)
		return ok;
	if (!bounce_rules_load_file(config->bounce_rules_file.ptr, config->path, &rules, report))
		return false;
	bounce_rules_free(rules);
	return ok;
}

const struct tenant *tool_tenant(struct tool *tool, struct str name)
{
	const struct tenant *tenant = config_find_tenant(tool->config, name);
	struct config_nearest nearest = { .name = name };
	char quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE];

	if (tenant)
		return tenant;
	for (size_t i = 0; i < tool->config->tenant_count && i < 1000; i++)
		config_nearest_offer(&nearest, tool->config->tenants[i].name.ptr);
	tool_fail(tool, TOOL_NO, "there is no tenant %s in " STR_FMT "%s", config_quote(name, quoted),
		  STR_ARG(tool->config->path), config_nearest_hint(&nearest, hint));
	return NULL;
}

/* --- rights */

/* Root becomes who owns `path`: what is created below it must stay the daemon's. Everybody else stays who he is. */
static bool become_owner(const char *path, struct err *err)
{
	struct stat st;
	const struct passwd *user;

	if (geteuid() != 0 || stat(path, &st) != 0 || st.st_uid == 0)
		return true;
	user = getpwuid(st.st_uid);
	if ((user ? initgroups(user->pw_name, user->pw_gid) : setgroups(0, NULL)) != 0 ||
	    setresgid(user ? user->pw_gid : st.st_gid, user ? user->pw_gid : st.st_gid, user ? user->pw_gid : st.st_gid) != 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) != 0)
		return err_errno(err, ERR_BUSY, "becoming the owner of %s", path);
	return true;
}

static const char *way_out(void)
{
	return geteuid() == 0 ? "" : "; run this as root, or as the user that sekisho-milter runs as";
}

/* --- the store */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static bool open_empty_store(struct tool *tool, struct err *err)
{
	struct config config = *tool->config;

	snprintf(tool->store_dir, sizeof tool->store_dir, "/tmp/sekisho.XXXXXX");
	if (!mkdtemp(tool->store_dir)) {
		tool->store_dir[0] = '\0';
		return err_errno(err, ERR_BUSY, "temporary directory");
	}
	config.store_path = str_from_c(tool->store_dir);
	return store_open(&config, &tool->store, err);
}

static bool open_store(struct tool *tool, enum tool_wish wish, struct err *err)
{
	char path[PATH_SIZE];

	/* What this relay counts by itself while Redis is away is the daemon's business; here the truth or nothing is wanted. */
	if (tool->config->store_backend != STORE_EMBEDDED) {
		struct config shared = *tool->config;

		shared.on_store_failure = STORE_FAILURE_DEFER;
		return store_open(&shared, &tool->store, err);
	}
	if (!c_path(tool->config->store_path, path))
		return err_set(err, ERR_CONFIG, "store.path is too long");
	if (access(path, F_OK) != 0 && errno == ENOENT) {
		if (wish == TOOL_CHANGE)
			return err_set(err, ERR_BUSY, "%s is not there; start sekisho-milter first", path);
		return open_empty_store(tool, err);
	}
	return become_owner(path, err) && store_open(tool->config, &tool->store, err);
}

bool tool_store_open(struct tool *tool, enum tool_wish wish, struct err *err)
{
	if (tool->store || open_store(tool, wish, err))
		return true;
	tool->store = NULL;
	return false;
}

bool tool_store(struct tool *tool, enum tool_wish wish)
{
	struct err err;

	if (tool->store)
		return true;
	if (!tool_store_open(tool, wish, &err)) {
		tool_fail(tool, TOOL_UNKNOWN, "store: %s%s", err.text, way_out());
		return false;
	}
	if (tool->store->notice[0])
		tool_fail(tool, TOOL_OK, "store: %s", tool->store->notice);
	return true;
}

void tool_clear(struct tool *tool)
{
	record_writer_close(tool->ops);
	store_close(tool->store);
	if (tool->store_dir[0])
		nftw(tool->store_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	if (tool->config)
		config_free(tool->config);
	buf_clear(&tool->out);
	arena_clear(&tool->arena);
}

/* --- the trace */

struct str tool_actor(struct tool *tool)
{
	static char name[256];
	const struct passwd *user;
	const char *sudo = getenv("SUDO_USER");

	if (tool->actor.len)
		return tool->actor;
	if (name[0])
		return str_from_c(name);
	user = getpwuid(getuid());
	snprintf(name, sizeof name, "%s (uid %u%s%s)", user ? user->pw_name : "?", (unsigned)getuid(),
		 sudo && getuid() == 0 ? ", by sudo of " : "", sudo && getuid() == 0 ? sudo : "");
	return str_from_c(name);
}

struct record_writer_config tool_log_config(struct tool *tool, struct str class_name)
{
	const struct config *config = tool->config;

	return (struct record_writer_config){
		.dir = tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir), STR_ARG(class_name)),
		.node = config->node,
		.key_file = config->log_key_file,
		.keyring = config->log_keyring,
		.is_sealed = config_seals(config, class_name),
		.checkpoint_busy_us = config->checkpoint_busy_us,
		.checkpoint_idle_us = config->checkpoint_idle_us,
		.disk_warn_percent = config->disk_warn_percent,
		.queue_max = TOOL_QUEUE_MAX,
	};
}

static bool open_ops(struct tool *tool, struct err *err)
{
	struct record_writer_config writer = tool_log_config(tool, CLASS_OPS);
	char log_dir[PATH_SIZE];

	writer.key_file = STR_EMPTY;            /* the daemon signs what is added here */
	if (!c_path(tool->config->log_dir, log_dir) || writer.dir.len == 0)
		return err_set(err, ERR_CONFIG, "relay_log.dir is too long");
	if (access(log_dir, F_OK) != 0)
		return err_errno(err, ERR_BUSY, "%s", log_dir);
	return become_owner(log_dir, err) && io_make_dirs(writer.dir.ptr, 0750, err) &&
	       record_writer_open(&writer, &tool->ops, err);
}

bool tool_owner(struct tool *tool)
{
	char log_dir[PATH_SIZE];
	struct err err;

	tool_actor(tool);                               /* while we still are who we were */
	if ((c_path(tool->config->log_dir, log_dir) || err_set(&err, ERR_CONFIG, "too long")) && become_owner(log_dir, &err))
		return true;
	tool_fail(tool, TOOL_UNKNOWN, "relay_log.dir: %s%s", err.text, way_out());
	return false;
}

bool tool_ops(struct tool *tool)
{
	struct err err;

	if (tool->ops)
		return true;
	tool_actor(tool);                               /* while we still are who we were */
	if (open_ops(tool, &err))
		return true;
	tool->ops = NULL;
	tool_fail(tool, TOOL_UNKNOWN, "this leaves a record of who did it, which cannot be written: %s%s", err.text,
		  way_out());
	return false;
}

bool tool_record(struct tool *tool, const struct tool_trace *trace)
{
	unsigned long shortages = memory_shortages();
	struct buf detail;
	struct json json;
	struct err err;

	buf_init(&detail, TRACE_MAX);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str(&json, "by", tool_actor(tool));
	json_member_str(&json, "command", trace->command);
	json_member_str_opt(&json, "reason", trace->reason);
	json_member_str_opt(&json, "quota", trace->quota);
	if (trace->member != MEMBER_ALL)
		json_member_str(&json, "member", str_from_c(member_kind_name(trace->member)));
	if (trace->count >= 0)
		json_member_i64(&json, "count", trace->count);
	json_object_close(&json);

	const struct record_event event = { .event = trace->event, .tenant = trace->tenant, .host = tool->config->node,
					    .detail = buf_view(&detail) };
	bool ok = !detail.failed && record_append(tool->ops, &event, RECORD_DURABLE, NULL, &err);

	if (!ok)
		tool_fail(tool, TOOL_UNKNOWN, "the record of who did this cannot be written: %s",
			  !detail.failed ? err.text : memory_shortages() != shortages ? "out of memory" : "a reason that long has no room");
	buf_clear(&detail);
	return ok;
}
