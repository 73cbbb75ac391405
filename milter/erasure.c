#include "milter/erasure.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "milter/classes.h"
#include "milter/record/erase.h"
#include "milter/record/note.h"
#include "milter/record/seal.h"
#include "policy/store_local.h"

#define KEYS_AT_ONCE 500

/* --- the key */

static bool path_of(struct str path, char out[PATH_MAX], struct err *err)
{
	if (path.len == 0 || path.len >= PATH_MAX)
		return err_set(err, ERR_CONFIG, "a path that is empty or too long");
	snprintf(out, PATH_MAX, STR_FMT, STR_ARG(path));
	return true;
}

/* Where the log's public key can be seen; a host that only erases may not have it. */
static bool is_log_key(const struct config *config, const struct sign_key *key)
{
	struct sign_publics publics;
	char path[PATH_MAX];

	return snprintf(path, sizeof path, STR_FMT ".pub", STR_ARG(config->log_key_file)) < (int)sizeof path &&
	       sign_publics_load(path, &publics, NULL) && sign_publics_find(&publics, str_from_c(sign_key_id(key)));
}

bool erasure_key(const struct config *config, struct str file, struct sign_key **out, struct err *err)
{
	char path[PATH_MAX];

	if (file.len == 0)
		file = config->operator_key_file;
	if (file.len == 0)
		return err_set(err, ERR_CONFIG, "there is no operator key: relay_log.operator_key_file is none");
	if (!path_of(file, path, err))
		return false;
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return err_set(err, ERR_CONFIG, "%s: there is no such file; make an operator key with `sekisho key new --operator`", path);
	if (!sign_key_load(path, out, err))
		return false;
	if (!is_log_key(config, *out))
		return true;
	sign_key_free(*out);
	return err_set(err, ERR_CONFIG, "%s is the key that signs the log; what is taken out of it is signed with another one: make it "
		       "with `sekisho key new --operator`", path);
}

bool erasure_public(const struct config *config, char out[PATH_MAX])
{
	return config->operator_key_file.len && snprintf(out, PATH_MAX, STR_FMT ".pub", STR_ARG(config->operator_key_file)) < PATH_MAX &&
	       access(out, R_OK) == 0;
}

bool erasure_is_line(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
			return false;
	return text.len <= 1000;
}

/* --- the log */

static bool erase_class(const struct erasure *e, struct str class_name, struct erased *out, struct err *err)
{
	const struct config *config = e->config;
	char dir[PATH_MAX];
	const struct record_writer_config writer = {
		.dir = { dir, (size_t)snprintf(dir, sizeof dir, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir), STR_ARG(class_name)) },
		.node = config->node,
		.key_file = access(config->log_key_file.ptr, R_OK) == 0 ? config->log_key_file : STR_EMPTY,
		.checkpoint_busy_us = config->checkpoint_busy_us,
		.checkpoint_idle_us = config->checkpoint_idle_us,
		.disk_warn_percent = config->disk_warn_percent,
	};
	const struct erase_request request = { .tenant = e->tenant, .id = e->id, .reason = e->reason, .signer = e->key,
					       .is_dry_run = e->is_dry_run };
	struct erasure_class *class = &out->classes[out->class_count];
	struct erase_result result;

	if (out->class_count == ERASURE_CLASSES_MAX)
		return err_set(err, ERR_CONFIG, STR_FMT ": too many classes", STR_ARG(config->log_dir));
	if (!record_erase(&writer, &request, &result, err))
		return false;
	*class = (struct erasure_class){ .records = result.records, .files = result.files };
	snprintf(class->name, sizeof class->name, STR_FMT, STR_ARG(class_name));
	out->class_count++;
	out->records += result.records;
	return true;
}

struct erase_run {
	const struct erasure *erasure;
	struct erased *out;
};

static bool erase_former(void *arg, struct str class_name, struct err *err)
{
	const struct erase_run *run = arg;

	return erase_class(run->erasure, class_name, run->out, err);
}

/* Class ops holds no customer's data, and who looked at whose records is to stay. */
static bool erase_log(const struct erasure *e, struct erased *out, struct err *err)
{
	const struct config *config = e->config;

	for (size_t i = 0; i < config->class_count; i++)
		if (!str_eq(config->classes[i].name, CLASS_OPS) && !erase_class(e, config->classes[i].name, out, err))
			return false;
	return classes_former(config, erase_former, &(struct erase_run){ e, out }, err);
}

/* --- the store */

struct keys {
	struct arena arena;
	struct str items[KEYS_AT_ONCE];
	size_t count;
	bool is_short;                 /* of memory for the next one */
};

static bool take_key(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct keys *keys = arg;

	(void)value;
	(void)expires_us;
	keys->is_short = !arena_copy(&keys->arena, key, &keys->items[keys->count]);
	keys->count += !keys->is_short;
	return !keys->is_short && keys->count < KEYS_AT_ONCE;
}

static bool remove_keys(struct store *st, const struct keys *keys, struct err *err)
{
	for (size_t i = 0; i < keys->count; i++)
		if (!st->ops->put(st, keys->items[i], STR_EMPTY, 0, err))
			return false;
	return true;
}

/* A few hundred at a time, from the front each time: what was removed is not found again. */
static bool forget_some(struct store *st, struct str prefix, bool is_dry_run, size_t *out_count, struct err *err)
{
	struct keys keys;

	keys.count = 0;
	keys.is_short = false;
	arena_init(&keys.arena, KEYS_AT_ONCE * (STORE_KEY_MAX + 64));
	bool ok = st->ops->scan(st, prefix, take_key, &keys, err) && (!keys.is_short || err_memory(err)) &&
		  (is_dry_run || remove_keys(st, &keys, err));

	arena_clear(&keys.arena);
	*out_count = keys.count;
	return ok;
}

static bool forget_all(struct store *st, struct str prefix, bool is_dry_run, int64_t *io_count, struct err *err)
{
	size_t count = KEYS_AT_ONCE;

	while (count == KEYS_AT_ONCE) {
		if (!forget_some(st, prefix, is_dry_run, &count, err))
			return err_wrap(err, "store");
		*io_count += (int64_t)count;
		if (is_dry_run)
			break;
	}
	return true;
}

/* Counters, charges, suppressions, suspensions: everything under the tenant's prefix. */
bool erasure_forget(struct store *st, struct str tenant, bool is_dry_run, int64_t *out_count, struct err *err)
{
	static const char *const before[] = { "", STORE_LOCAL_SEEN, STORE_LOCAL_COUNTED };
	const size_t kinds = st->ops->may_have ? 1 : sizeof before / sizeof *before;
	char prefix[STORE_KEY_MAX + 1];

	*out_count = 0;
	for (size_t i = 0; i < kinds; i++) {
		int n = snprintf(prefix, sizeof prefix, "%ssekisho:{" STR_FMT "}:", before[i], STR_ARG(tenant));

		if (n >= (int)sizeof prefix)
			return err_set(err, ERR_INPUT, "a tenant's name that is too long");
		if (!forget_all(st, str_of(prefix, (size_t)n), is_dry_run, out_count, err))
			return false;
	}
	return true;
}

static bool erase_stores(const struct erasure *e, struct erased *out, struct err *err)
{
	for (size_t i = 0; e->tenant.len && i < sizeof e->stores / sizeof *e->stores; i++) {
		int64_t count = 0;

		if (e->stores[i] && !erasure_forget(e->stores[i], e->tenant, e->is_dry_run, &count, err))
			return false;
		out->entries += count;
	}
	return true;
}

/* --- the paper */

static void write_head(const struct erasure *e, bool is_japanese, const char *time, struct buf *out)
{
	const char *whose = e->tenant.len ? is_japanese ? "テナント" : "tenant" : is_japanese ? "記録" : "record";

	buf_printf(out, is_japanese ? "中継ノード " STR_FMT "\n%s " STR_FMT "\n日時 %s\n" : "relay " STR_FMT "\n%s " STR_FMT "\ntime %s\n",
		   STR_ARG(e->config->node), whose, STR_ARG(e->tenant.len ? e->tenant : e->id), time);
	if (e->reason.len)
		buf_printf(out, is_japanese ? "理由 " STR_FMT "\n" : "reason " STR_FMT "\n", STR_ARG(e->reason));
}

static void write_figures(const struct erasure *e, bool is_japanese, const struct erased *erased, struct buf *out)
{
	for (size_t i = 0; i < erased->class_count; i++)
		if (e->tenant.len || erased->classes[i].records)
			buf_printf(out, is_japanese ? "区分 %s：記録 %lld 件（%lld ファイル）\n" : "class %s: %lld records in %lld files\n",
				   erased->classes[i].name, (long long)erased->classes[i].records,
				   (long long)erased->classes[i].files);
	if (!e->tenant.len)
		return;
	buf_printf(out, is_japanese ? "計数と配信停止リスト：%lld 件\n" : "store: %lld entries\n", (long long)erased->entries);
	if (e->config->log_is_sealed)
		buf_add_c(out, is_japanese ? "記録の暗号鍵：破棄\n" : "key of sealed records: destroyed\n");
}

/* Broken into lines here: it is printed, mailed and put into files as it stands, and signed so. */
static void write_english(const struct erasure *e, struct buf *out)
{
	const bool is_tenant = e->tenant.len > 0, is_sealed = is_tenant && e->config->log_is_sealed;

	buf_add_c(out, is_tenant ? "\nEverything that this relay recorded or counted about the tenant named above,\n"
				   "as listed, was erased.\n"
				 : "\nWhat the record named above said was erased.\n");
	buf_add_c(out,
		  "Only numbers and salted hashes remain, so that it can be shown that nothing\nelse was removed.\n");
	buf_add_c(out, is_sealed ? "The key of its records was destroyed: copies of sealed records, in backups\n"
				   "too, can no longer be read.\n"
				 : "Copies in backups end when their time is over; a backup that is restored is\n"
				   "made to forget first.\n");
	buf_add_c(out, "The mail server's own log is not part of this.\n\n");
}

static void write_japanese(const struct erasure *e, struct buf *out)
{
	const bool is_tenant = e->tenant.len > 0, is_sealed = is_tenant && e->config->log_is_sealed;

	buf_add_c(out, is_tenant ? "\n上記のテナントについて本中継ノードが記録・集計した情報は、\n記載のとおりすべて消去されました。\n"
				 : "\n上記の記録の内容は消去されました。\n");
	buf_add_c(out, "残るのは、他の記録が失われていないことを示すための\n連番とソルト付きハッシュ値のみです。\n");
	buf_add_c(out, is_sealed ? "記録の暗号鍵は破棄されたため、暗号化された記録の複製は、\nバックアップを含め、もはや読むことができません。\n"
				 : "バックアップ内の複製は保存期間の満了とともに消滅し、\n復元の際にはこの消去が先に適用されます。\n");
	buf_add_c(out, "メールサーバー自身のログは対象外です。\n");
}

#define STAMP_LEN (sizeof "20261210T000000-" - 1)
#define FILE_NAME_MAX 200

/* 20261210T000000-NAME.cert */
static void name_file(const char *time, struct str name, char out[FILE_NAME_MAX])
{
	snprintf(out, FILE_NAME_MAX, "%.4s%.2s%.2sT%.2s%.2s%.2s-" STR_FMT ".cert", time, time + 5, time + 8, time + 11, time + 14, time + 17,
		 STR_ARG(name));
}

/* DIR/erasures/20261210T000000-NAME.cert */
static bool keep_copy(const struct erasure *e, struct str parent, const char *time, struct str text, struct err *err)
{
	char dir[PATH_MAX - FILE_NAME_MAX - 1], file[FILE_NAME_MAX], path[PATH_MAX];
	struct str name = e->tenant.len ? e->tenant : e->id;

	if (snprintf(dir, sizeof dir, STR_FMT "/" ERASURE_DIR, STR_ARG(parent)) >= (int)sizeof dir || name.len > 100)
		return err_set(err, ERR_CONFIG, "a path that is too long");
	name_file(time, name, file);
	snprintf(path, sizeof path, "%s/%s", dir, file);
	return io_make_dirs(dir, 0750, err) && io_replace_file(path, text, 0640, err);
}

/* Beside the backups at once, should this disk be lost before the next one. Where that fails the next backup brings it there. */
static void keep_beside_backups(const struct erasure *e, const char *time, struct str text)
{
	struct err err;

	if (e->config->backup_dir.len && access(e->config->backup_dir.ptr, F_OK) == 0 &&
	    !keep_copy(e, e->config->backup_dir, time, text, &err))
		log_warn("the certificate is not beside the backups yet: %s", err.text);
}

static bool certify(const struct erasure *e, const struct erased *erased, struct buf *out, struct err *err)
{
	char time[JST_TIME_LEN + 1], name[512];
	struct str text;

	jst_format_time(clock_now_us(), time);
	snprintf(name, sizeof name, "sekisho:" STR_FMT "/erasure", STR_ARG(e->config->node));
	buf_add_c(out, "Certificate of erasure / 消去証明書\n");
	write_head(e, false, time, out);
	write_figures(e, false, erased, out);
	write_english(e, out);
	write_head(e, true, time, out);
	write_figures(e, true, erased, out);
	write_japanese(e, out);
	if (!note_sign(out, str_from_c(name), e->key, err) || !buf_done(out, &text, err) ||
	    !keep_copy(e, e->config->state_dir, time, text, err))
		return false;
	keep_beside_backups(e, time, text);
	return true;
}

static bool erase_key(const struct erasure *e, struct erased *out, struct err *err)
{
	const struct str keyring = e->config->log_keyring;

	return !e->tenant.len || !keyring.len ||
	       (e->is_dry_run ? seal_has_tenant : seal_destroy_tenant)(keyring, e->tenant, &out->had_key, err);
}

bool erasure_run(const struct erasure *e, struct erased *out_erased, struct buf *out, struct err *err)
{
	*out_erased = (struct erased){ .records = 0 };
	/* The store first: it is what may be away, and the certificate counts what this run took out of the log. */
	if (!erase_stores(e, out_erased, err) || !erase_log(e, out_erased, err) || !erase_key(e, out_erased, err))
		return false;
	out_erased->is_nothing = out_erased->records == 0 && out_erased->entries == 0 && !out_erased->had_key;
	if (e->must_find && out_erased->is_nothing)
		return err_set(err, ERR_INPUT, "nothing is known of a tenant " STR_FMT ": no record, no key, nothing in the store",
			       STR_ARG(e->tenant));
	return e->is_dry_run || certify(e, out_erased, out, err);
}

bool certificate_find(struct str text, struct str name, struct str *out)
{
	struct str line;

	while (str_next(&text, '\n', &line) && line.len)
		if (str_starts(line, name) && line.len > name.len && line.ptr[name.len] == ' ') {
			*out = str_from(line, name.len + 1);
			return true;
		}
	return false;
}

bool erasure_was_done(const struct config *config, struct str tenant, int64_t since_us)
{
	char dir[PATH_MAX], time[JST_TIME_LEN + 1], oldest[FILE_NAME_MAX];
	const struct dirent *entry;
	bool found = false;

	jst_format_time(since_us, time);
	name_file(time, tenant, oldest);
	if (snprintf(dir, sizeof dir, STR_FMT "/" ERASURE_DIR, STR_ARG(config->state_dir)) >= (int)sizeof dir)
		return false;
	DIR *list = opendir(dir);

	while (list && !found && (entry = readdir(list)) != NULL)
		found = strlen(entry->d_name) > STAMP_LEN && strncmp(entry->d_name, oldest, STAMP_LEN) >= 0 &&
			strcmp(entry->d_name + STAMP_LEN, oldest + STAMP_LEN) == 0;
	if (list)
		closedir(list);
	return found;
}
