/* sekisho backup: copies of the relay log and the store, checked, pruned, and put back without what was destroyed since. */
#include <stdlib.h>
#include <unistd.h>

#include "milter/erasure.h"
#include "milter/restore.h"
#include "milter/tool/commands.h"

struct backup_values {
	struct str dir, key;
	int64_t keep;
	bool is_dry_run;
};
#define BACKUP(field) offsetof(struct backup_values, field)
#define DIR_OPTION { "--dir", OPTION_TEXT, BACKUP(dir), "DIR", NULL, "where backups are (default: backup.dir)" }

static const struct option run_options[] = { DIR_OPTION, { NULL } };

static const char *dir_of(struct tool *tool, const struct backup_values *want)
{
	return tool_text(tool, STR_FMT, STR_ARG(want->dir.ptr ? want->dir : tool->config->backup_dir)).ptr;
}

static struct str public_of(struct tool *tool, struct str file)
{
	return file.len ? tool_text(tool, STR_FMT ".pub", STR_ARG(file)) : STR_EMPTY;
}

/* The operator's public key, where this host has it. */
static struct str operator_of(struct tool *tool)
{
	char path[PATH_MAX];

	return erasure_public(tool->config, path) ? tool_text(tool, "%s", path) : STR_EMPTY;
}

static bool trace(struct tool *tool, const char *command, int64_t count)
{
	return tool_record(tool, &(struct tool_trace){ .event = STR("backup"), .command = str_from_c(command), .count = count });
}

static void show_progress(int64_t done, int64_t total)
{
	tool_progress("files", done, total);
}

/* --- run */

static void show_made(struct tool *tool, const char *dir, const struct backup_made *made)
{
	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, "backup", tool_text(tool, "%s/%s", dir, made->name));
		json_member_i64(&tool->json, "files", made->files);
		json_member_i64(&tool->json, "linked", made->linked);
		json_member_i64(&tool->json, "bytes", made->octets);
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
	}
	tool_print(tool, "%s/%s\n", dir, made->name);
	tool_field(tool, "Files", STR_FMT ", of which " STR_FMT " are the same as before and were linked",
		   STR_ARG(tool_number(tool, made->files)), STR_ARG(tool_number(tool, made->linked)));
	tool_field(tool, "Copied", STR_FMT " bytes", STR_ARG(tool_number(tool, made->octets)));
}

static int make(struct tool *tool, const char *dir)
{
	struct sign_key *key;
	struct backup_made made;
	struct err err;

	if (tool->config->log_key_file.len == 0)
		return tool_fail(tool, TOOL_UNKNOWN,
				 "relay_log.key_file is none: nobody could tell the backup from another");
	if (!sign_key_load(tool_text(tool, STR_FMT, STR_ARG(tool->config->log_key_file)).ptr, &key, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	bool ok = backup_run(tool->config, dir, tool->store, key, show_progress, &made, &err);

	sign_key_free(key);
	if (!ok)
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (!trace(tool, "backup run", made.files))
		return TOOL_UNKNOWN;
	show_made(tool, dir, &made);
	return TOOL_OK;
}

static int run_run(struct tool *tool, const void *values)
{
	if (!tool_config(tool) || !tool_ops(tool) || !tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	return make(tool, dir_of(tool, values));
}

const struct tool_command command_backup_run = {
	.name = "backup run",
	.operands = "",
	.summary = "copy the relay log and the store",
	.about = "Makes a directory below backup.dir, named by the time, with the relay log, the store and the public keys, and a signed "
		 "list of it. Secret keys and the keyring of a sealed log are never in it: what is sealed ends with its keys. Files "
		 "that have not changed since the backup before are linked. The daemon goes on meanwhile.",
	.options = run_options,
	.values_size = sizeof(struct backup_values),
	.has_json = true,
	.examples = "sekisho backup run\nsekisho backup run && sekisho backup verify && sekisho backup prune",
	.ok = "made",
	.unknown = "it could not be made, or not be signed or recorded",
	.run = run_run,
};

/* --- list */

static void write_list_json(struct tool *tool, const char *dir, char (*names)[BACKUP_NAME_LEN + 1], size_t count)
{
	json_array_open(&tool->json);
	for (size_t i = 0; i < count; i++) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, "backup", tool_text(tool, "%s/%s", dir, names[i]));
		json_object_close(&tool->json);
	}
	json_array_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

static int run_list(struct tool *tool, const void *values)
{
	char (*names)[BACKUP_NAME_LEN + 1];
	const char *dir;
	struct err err;
	size_t count;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	dir = dir_of(tool, values);
	if (!backup_list(dir, &names, &count, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (tool->is_json)
		write_list_json(tool, dir, names, count);
	for (size_t i = 0; i < count; i++)
		tool_print(tool, "%s/%s\n", dir, names[i]);
	free(names);
	if (count == 0)
		tool_print(tool, "There are no backups in %s.\n", dir);
	return count ? TOOL_OK : TOOL_NO;
}

const struct tool_command command_backup_list = {
	.name = "backup list",
	.operands = "",
	.summary = "which backups there are",
	.about = "Lists the backups in backup.dir, oldest first.",
	.options = run_options,
	.values_size = sizeof(struct backup_values),
	.has_json = true,
	.examples = "sekisho backup list",
	.ok = "there are some",
	.no = "there are none",
	.unknown = "the directory cannot be read",
	.run = run_list,
};

/* --- verify */

static const char *const result_names[] = { [VERIFY_OK] = "intact", [VERIFY_TAMPERED] = "ALTERED",
					    [VERIFY_RETENTION] = "RETENTION BROKEN", [VERIFY_UNKNOWN] = "CANNOT TELL" };

static void show_checked(struct tool *tool, const char *path, const struct backup_checked *checked)
{
	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, "backup", str_from_c(path));
		json_member_str(&tool->json, "result", str_from_c(verify_result_name(checked->result)));
		json_member_str_opt(&tool->json, "why", str_from_c(checked->why));
		tool_json_time(tool, "time", checked->time_us);
		json_member_i64(&tool->json, "files", checked->files);
		json_member_i64(&tool->json, "records", checked->records);
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
		return;
	}
	tool_print(tool, "%s: %s\n", path, result_names[checked->result]);
	tool_field(tool, "Holds", STR_FMT " files, " STR_FMT " records, of " STR_FMT " JST", STR_ARG(tool_number(tool, checked->files)),
		   STR_ARG(tool_number(tool, checked->records)), STR_ARG(tool_time(tool, checked->time_us)));
	if (checked->why[0])
		tool_field(tool, "Wrong", "%s", checked->why);
}

/* A path, or the name of one in backup.dir; the newest when none is given. */
static const char *path_of(struct tool *tool, const struct backup_values *want)
{
	const char *dir = dir_of(tool, want);
	char (*names)[BACKUP_NAME_LEN + 1], *path = NULL;
	size_t count;
	struct err err;

	if (tool->operands.count && !backup_is_name(tool->operands.items[0]))
		return tool->operands.items[0].ptr;
	if (tool->operands.count)
		return (char *)tool_text(tool, "%s/" STR_FMT, dir, STR_ARG(tool->operands.items[0])).ptr;
	if (!backup_list(dir, &names, &count, &err))
		tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	else if (count == 0)
		tool_fail(tool, TOOL_UNKNOWN, "there are no backups in %s", dir);
	else
		path = (char *)tool_text(tool, "%s/%s", dir, names[count - 1]).ptr;
	free(names);
	return path;
}

static int run_verify(struct tool *tool, const void *values)
{
	const struct backup_values *want = values;
	struct backup_checked checked;
	const char *path;
	struct str key;
	struct err err;

	if (!tool_config(tool) || !(path = path_of(tool, want)))
		return TOOL_UNKNOWN;
	key = want->key.ptr ? want->key : public_of(tool, tool->config->log_key_file);
	if (!backup_verify(tool->config, path, key, operator_of(tool), show_progress, &checked, &err))
		return tool_fail(tool, err.kind == ERR_CONFIG ? TOOL_NO : TOOL_UNKNOWN, "%s", err.text);
	show_checked(tool, path, &checked);
	return checked.result == VERIFY_OK ? TOOL_OK : checked.result == VERIFY_UNKNOWN ? TOOL_UNKNOWN : TOOL_NO;
}

static const struct option verify_options[] = {
	DIR_OPTION,
	{ "--key", OPTION_TEXT, BACKUP(key), "FILE", NULL, "public key of the log (default: relay_log.key_file with .pub)" },
	{ NULL },
};

const struct tool_command command_backup_verify = {
	.name = "backup verify",
	.operands = "[BACKUP]",
	.operands_max = 1,
	.summary = "is a backup what was copied, and its log intact?",
	.about = "Holds each file of a backup (the newest, or the one that is named) against the signed list, and verifies its log as "
		 "`log verify` does. Needs public keys alone.",
	.options = verify_options,
	.values_size = sizeof(struct backup_values),
	.has_json = true,
	.examples = "sekisho backup verify\nsekisho backup verify 20261121T030000",
	.ok = "intact",
	.no = "something was altered or is missing, is there too long, or the list is not signed with the key",
	.unknown = "it cannot be read",
	.run = run_verify,
};

/* --- prune */

static int run_prune(struct tool *tool, const void *values)
{
	const struct backup_values *want = values;
	struct err err;
	int64_t count;

	if (!tool_config(tool) || (!want->is_dry_run && !tool_ops(tool)))
		return TOOL_UNKNOWN;
	if (!backup_prune(dir_of(tool, want), want->keep ? want->keep : tool->config->backup_keep, want->is_dry_run, &count, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (!want->is_dry_run && count && !trace(tool, "backup prune", count))
		return TOOL_UNKNOWN;
	tool_print(tool, "%s" STR_FMT " backup%s\n", want->is_dry_run ? "would remove " : "removed ", STR_ARG(tool_number(tool, count)),
		   count == 1 ? "" : "s");
	return TOOL_OK;
}

static const struct option prune_options[] = {
	DIR_OPTION,
	{ "--keep", OPTION_COUNT, BACKUP(keep), "N", NULL, "of the newest N days (default: backup.keep)" },
	{ "--dry-run", OPTION_FLAG, BACKUP(is_dry_run), NULL, NULL, "say how many would go, and leave them" },
	{ NULL },
};

const struct tool_command command_backup_prune = {
	.name = "backup prune",
	.operands = "",
	.summary = "remove old backups",
	.about = "Removes all backups but those of the newest days.",
	.options = prune_options,
	.values_size = sizeof(struct backup_values),
	.examples = "sekisho backup prune --keep 35",
	.ok = "done, or nothing to do",
	.unknown = "one could not be removed",
	.run = run_prune,
};

/* --- restore */

static void show_restored(struct tool *tool, const char *path, const struct restored *restored)
{
	tool_print(tool, "%s: restored\n", path);
	tool_field(tool, "Log", "%lld classes, %lld files, as of " STR_FMT " JST; what was written later is lost, and the log says so",
		   (long long)restored->classes, (long long)restored->files, STR_ARG(tool_time(tool, restored->checked.time_us)));
	tool_field(tool, "Forgotten", "%lld records by %lld certificates of erasure, %lld files that are over their time",
		   (long long)restored->erased, (long long)restored->certificates, (long long)restored->purged);
	tool_field(tool, "Next", "sekisho log verify; then start sekisho-milter");
}

static int restore(struct tool *tool, const char *path, const struct sign_key *key)
{
	const struct restore_request request = {
		.config = tool->config,
		.backup = path,
		.public_key = public_of(tool, tool->config->log_key_file),
		.operator_public = operator_of(tool),
		.key = key,
		.store = tool->store,
	};
	struct restored restored;
	struct err err;

	if (!restore_run(&request, &restored, &err))
		return tool_fail(tool, err.kind == ERR_CONFIG ? TOOL_NO : TOOL_UNKNOWN, "%s", err.text);
	if (!tool_ops(tool) || !trace(tool, "backup restore", restored.files))
		return TOOL_UNKNOWN;
	show_restored(tool, path, &restored);
	return TOOL_OK;
}

static int run_restore(struct tool *tool, const void *values)
{
	const struct backup_values *want = values;
	struct sign_key *key;
	const char *path;
	struct err err;

	if (!tool_config(tool) || !tool_owner(tool) || !(path = path_of(tool, want)) || !tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	if (!erasure_key(tool->config, want->key.ptr ? want->key : STR_EMPTY, &key, &err))
		return tool_fail(tool, err.kind == ERR_CONFIG ? TOOL_NO : TOOL_UNKNOWN, "%s", err.text);
	int code = restore(tool, path, key);

	sign_key_free(key);
	return code;
}

static const struct option restore_options[] = {
	DIR_OPTION,
	{ "--operator-key", OPTION_TEXT, BACKUP(key), "FILE", NULL,
	  "private key that signs it (default: relay_log.operator_key_file)" },
	{ NULL },
};

const struct tool_command command_backup_restore = {
	.name = "backup restore",
	.operands = "BACKUP",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "put a backup back, without what was destroyed since",
	.about = "Verifies a backup, copies its log to .restore in relay_log.dir, erases in the copy what certificates say was erased since (those "
		 "in state_dir/erasures and in the backups' directory), purges what is over its time, and only then puts it in its "
		 "place; the store's entries follow, but for those of erased tenants. A signed record says in each class that what was "
		 "written after the backup is lost. Nothing that is there is overwritten: stop the daemon and move the old log away "
		 "first. A backup of a relay that was renamed since is verified and restored with `node` set to its former name.",
	.options = restore_options,
	.values_size = sizeof(struct backup_values),
	.examples = "sekisho backup restore 20261121T030000",
	.ok = "restored; the log verifies",
	.no = "the backup is not what was written or holds a class that is not configured, a log is there already, or there is no operator "
	      "key",
	.unknown = "it could not be read or written: run it again",
	.run = run_restore,
};
