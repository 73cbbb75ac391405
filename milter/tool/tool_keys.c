/* sekisho key rotate, key list: the keys that seal tracked links. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/num.h"
#include "milter/tool/commands.h"
#include "milter/tool/tokens.h"

/* --- key rotate */

/* The first id above all that are there, or the lowest free one. 0: none. */
static unsigned free_id(struct str text)
{
	bool is_used[TOKEN_KEYS_MAX + 1] = { true };
	unsigned highest = 0;
	struct str line, id, rest;
	uint64_t number;

	while (str_next(&text, '\n', &line))
		if (str_cut(str_trim(line), ' ', &id, &rest) && num_parse_u64(id, &number) &&
		    number <= TOKEN_KEYS_MAX) {
			is_used[number] = true;
			highest = number > highest ? (unsigned)number : highest;
		}
	if (highest < TOKEN_KEYS_MAX)
		return highest + 1;
	for (unsigned i = 1; i <= TOKEN_KEYS_MAX; i++)
		if (!is_used[i])
			return i;
	return 0;
}

static bool add_key(struct buf *text, unsigned id, struct err *err)
{
	unsigned char key[TOKEN_KEY_LEN];
	char day[JST_DATE_LEN + 1];
	struct str whole;

	if (RAND_bytes(key, sizeof key) != 1)
		return err_set(err, ERR_BUSY, "no random numbers to be had");
	if (text->len && text->ptr[text->len - 1] != '\n')
		buf_add_byte(text, '\n');
	buf_printf(text, "%u ", id);
	for (size_t i = 0; i < sizeof key; i++)
		buf_printf(text, "%02x", key[i]);
	jst_format_date(jst_day(clock_now_us()), day);
	buf_printf(text, " %s\n", day);
	OPENSSL_cleanse(key, sizeof key);
	return buf_done(text, &whole, err);
}

/* A first key that root makes is the daemons', who run as the owner of the state directory. */
static bool give_to_daemons(const struct config *config, const char *path, struct err *err)
{
	struct stat st;

	if (geteuid() != 0 || stat(config->state_dir.ptr, &st) != 0)
		return true;
	return chown(path, st.st_uid, st.st_gid) == 0 || err_errno(err, ERR_BUSY, "giving %s to the owner of %s", path, config->state_dir.ptr);
}

/* A first file that was not made to its end goes: root's own would be no use to the daemons, nor be given to them by the next try. */
static bool write_keys(const struct config *config, const char *path, struct str text, bool is_first, struct err *err)
{
	if (io_replace_file(path, text, 0600, err) && (!is_first || give_to_daemons(config, path, err)))
		return true;
	if (is_first)
		io_calls.unlink(path);
	return false;
}

static int rotate(struct tool *tool, const char *path, struct buf *text)
{
	bool is_first = access(path, F_OK) != 0 && errno == ENOENT;
	unsigned id;
	struct err err;

	if (!is_first && !io_read_secret(path, text, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	id = free_id(buf_view(text));
	if (id == 0)
		return tool_fail(tool, TOOL_NO, "%s has all the keys a file can hold", path);
	if (!add_key(text, id, &err) || !write_keys(tool->config, path, buf_view(text), is_first, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	tool_field(tool, "Key", "%u in %s", id, path);
	tool_field(tool, "Next",
		   "sekisho reload, and new links are sealed with it; sekisho-track of this host needs no word. Links made before "
		   "go on working as long as their keys stay in the file");
	return TOOL_OK;
}

static int run_rotate(struct tool *tool, const void *values)
{
	const struct config *config = tool_config(tool);
	struct buf text;
	int code;

	(void)values;
	if (!config)
		return TOOL_UNKNOWN;
	buf_init(&text, (size_t)1 << 20);
	code = rotate(tool, config->token_key_file.ptr, &text);
	if (text.ptr)
		OPENSSL_cleanse(text.ptr, text.size);
	buf_clear(&text);
	return code;
}

static const struct option no_options[] = { { NULL } };

const struct tool_command command_key_rotate = {
	.name = "key rotate",
	.operands = "",
	.summary = "make a new key for tracked links",
	.about = "Adds a key to tracking.key_file, or makes that file with its first one. From the next reload on it "
		 "seals new links; "
		 "links that were made before are opened with the keys that are there already. sekisho-track on another host has to "
		 "have the file before that reload. As root: the file stays whose it is, "
		 "and a new one is given to the owner of state_dir, whom the daemons run as.",
	.options = no_options,
	.examples = "sekisho key rotate",
	.ok = "added",
	.no = "the file is full",
	.unknown = "it cannot be read or written",
	.run = run_rotate,
};

/* --- key list */

#define ALWAYS (-2)
#define UNKNOWN TOKEN_DAY_UNKNOWN

/* The last day on which a link of key i can be asked for: its successor's first day is its own last, and links live on. */
static int64_t needed_until(const struct config *config, const struct token_key_facts *keys, size_t count, size_t i)
{
	int64_t days = config->tracking_expire_us / DAY_US;

	if (i + 1 == count || days == 0)
		return ALWAYS;
	return keys[i + 1].made == TOKEN_DAY_UNKNOWN ? UNKNOWN : keys[i + 1].made + days;
}

static struct str day_text(struct tool *tool, int64_t day, const char *always)
{
	char date[JST_DATE_LEN + 1];

	if (day < 0)
		return str_from_c(day == ALWAYS ? always : "unknown");
	jst_format_date(day, date);
	return tool_text(tool, "%s", date);
}

static const char *use_of(int64_t until, bool is_last)
{
	if (is_last)
		return "seals and opens";
	return until >= 0 && until < jst_day(clock_now_us()) ? "not needed any more" : "opens";
}

static void write_key(struct tool *tool, unsigned id, struct str made, const char *use, struct str until)
{
	tool_json_line(tool);
	json_object_open(&tool->json);
	json_member_i64(&tool->json, "key", id);
	json_member_str(&tool->json, "made", made);
	json_member_str(&tool->json, "use", str_from_c(use));
	json_member_str(&tool->json, "needed_until", until);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

static int list_keys(struct tool *tool, const struct token_keys *keys)
{
	static const struct column columns[] = {
		{ "KEY", COLUMN_RIGHT }, { "MADE", COLUMN_LEFT }, { "USE", COLUMN_LEFT }, { "NEEDED UNTIL", COLUMN_LEFT },
	};
	struct token_key_facts facts[TOKEN_KEYS_MAX];
	size_t count = token_keys_list(keys, facts);
	struct table table;

	table_init(&table, &tool->arena, columns, sizeof columns / sizeof *columns);
	for (size_t i = 0; i < count; i++) {
		int64_t until_day = needed_until(tool->config, facts, count, i);
		bool is_last = i + 1 == count;
		struct str made = day_text(tool, facts[i].made, ""), until = day_text(tool, until_day, is_last ? "rotated" : "always");
		const char *use = use_of(until_day, is_last);
		const struct str cells[] = { tool_number(tool, facts[i].id), made, str_from_c(use), until };

		if (tool->is_json)
			write_key(tool, facts[i].id, made, use, until);
		else if (!table_add(&table, cells))
			return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	}
	if (!tool->is_json)
		tool_table(tool, &table);
	return TOOL_OK;
}

static int run_list(struct tool *tool, const void *values)
{
	struct token_keys *keys = tokens_keys(tool);
	int code;

	(void)values;
	if (!keys)
		return TOOL_UNKNOWN;
	code = list_keys(tool, keys);
	token_keys_free(keys);
	return code;
}

const struct tool_command command_key_list = {
	.name = "key list",
	.operands = "",
	.summary = "the keys of tracked links, and how long each is needed",
	.about = "Shows the keys in tracking.key_file, not their secrets: when each was made, whether it seals new links or "
		 "only opens those that were made with it, and until when such links can still be asked for. A key that is "
		 "not needed any more may be taken out of the file (with return paths, which it has signed too, once they have "
		 "expired as well); with tracking.links_expire: none each is needed always.",
	.options = no_options,
	.has_json = true,
	.examples = "sekisho key list",
	.ok = "shown",
	.unknown = "no configuration, no key, or the file can be read by others",
	.run = run_list,
};
