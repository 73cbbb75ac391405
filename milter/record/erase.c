#include "milter/record/erase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "config/base/io.h"
#include "config/base/json.h"
#include "milter/record/entry.h"
#include "milter/record/index_build.h"
#include "milter/record/lines.h"
#include "milter/record/reader.h"
#include "milter/record/span.h"
#include "milter/record/tail.h"

#define COPY_AT ((size_t)1 << 20)

struct erase {
	const struct record_writer_config *config;
	const struct erase_request *request;
	char dir[PATH_MAX];
	struct str class_name;
	struct buf needle;
	struct str wanted;             /* in it: the tenant or id as it stands escaped in a line */
	const struct sign_key *signer;
	struct sign_key *log_key;
	struct record_writer *writer;
	struct tail tail;
	const struct record_file *next;/* of the file at hand; NULL: that is the newest */
	struct erase_result result;
};

static bool is_wanted(const struct erase *erase, struct str line)
{
	struct str escaped;

	return record_peek(line, erase->request->tenant.len ? STR("tenant") : STR("id"), &escaped) &&
	       str_eq(escaped, erase->wanted);
}

typedef bool line_fn(void *arg, const struct line *line, struct err *err);

/* What stands behind the end that a later part states is no part of the log: it is not read, and not in the new file. */
static bool each_line(const struct erase *erase, struct record_file file, line_fn *fn, void *arg, struct err *err)
{
	char path[PATH_MAX];
	struct lines lines;
	struct line line;
	struct stat st;
	bool found = false, ok;
	int64_t end;
	int fd = record_file_path(erase->dir, file, path, err) ? record_file_open(path, O_RDONLY, err) : -1;

	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 || err_errno(err, ERR_BUSY, "%s", path);
	ok = ok && record_file_end(erase->dir, file, erase->next, st.st_size, &end, err);
	if (ok && (ok = lines_open(&lines, fd, path, 0, end, err))) {
		while ((ok = lines_next(&lines, &line, &found, err)) && found && (ok = fn(arg, &line, err)))
			;
		lines_close(&lines);
	}
	close(fd);
	return ok;
}

/* --- which lines */

struct find {
	struct erase *erase;
	struct spans spans;
	int64_t records;
};

static bool is_in_time(const struct erase *erase, struct str time)
{
	int64_t time_us;

	return erase->request->until_us == 0 || !jst_parse_time(time, &time_us) || time_us < erase->request->until_us;
}

/* What the log says of itself is what it is verified by: it is nobody's data, and never goes. */
static bool is_own(struct str event)
{
	static const struct str names[] = { STR_INIT("begin"), STR_INIT("tenants"), STR_INIT("checkpoint"), STR_INIT("recovered"),
					    STR_INIT("purged"), STR_INIT("erased"), STR_INIT("restored"), STR_INIT("clock") };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eq(event, names[i]))
			return true;
	return false;
}

static bool find_line(void *arg, const struct line *line, struct err *err)
{
	struct find *find = arg;
	struct record_link link;

	if (!line->is_whole || !record_parse_link(line->text, &link) || link.leaf_text.len == 0 ||
	    is_own(link.event) || !is_wanted(find->erase, line->text) || !is_in_time(find->erase, link.time))
		return true;
	find->records++;
	return spans_add(&find->spans, link.seq, link.seq) || err_memory(err);
}

/* --- saying so */

static bool declare(struct erase *erase, const char *file, const struct spans *spans, struct err *err)
{
	const struct erased_entry entry = { .node = erase->config->node, .class_name = erase->class_name,
					    .tenant = erase->request->tenant, .id = erase->request->id,
					    .file = str_from_c(file), .reason = erase->request->reason };
	struct record_event event = { .event = STR("erased") };
	struct buf detail;
	bool ok = true;

	buf_init(&detail, RECORD_JSON_MAX);
	for (size_t at = 0; ok && at < spans->count;) {
		ok = erased_entry_write(&entry, spans, &at, erase->signer, &detail, err) &&
		     buf_done(&detail, &event.detail, err) && record_append(erase->writer, &event, RECORD_DURABLE, NULL, err);
	}
	buf_clear(&detail);
	return ok;
}

/* --- the new file */

struct copy {
	struct erase *erase;
	const struct spans *spans;
	struct buf out;
	int fd;
	const char *path;
};

static bool copy_out(struct copy *copy, struct err *err)
{
	struct str text;

	if (!buf_done(&copy->out, &text, err) || !io_write_all(copy->fd, text, copy->path, err))
		return false;
	buf_reset(&copy->out);
	return true;
}

static bool copy_line(void *arg, const struct line *line, struct err *err)
{
	struct copy *copy = arg;
	struct record_link link;
	unsigned char octets[CHAIN_LEN];
	char leaf[CHAIN_HEX_LEN], chain[CHAIN_HEX_LEN];

	if (line->end - line->offset > (int64_t)RECORD_LINE_MAX + 1)
		return err_set(err, ERR_INPUT, "%s: holds a line that is too long; nothing was changed", copy->path);
	if (line->is_whole && record_parse_link(line->text, &link) && link.leaf_text.len &&
	    spans_hold(copy->spans, link.seq) && is_wanted(copy->erase, line->text)) {
		record_link_leaf(&link, octets);
		hex_write(octets, CHAIN_LEN, leaf);
		hex_write(link.chain, CHAIN_LEN, chain);
		buf_printf(&copy->out, "{\"seq\":%lld,\"erased\":\"%.*s\",\"chain\":\"%.*s\"}\n", (long long)link.seq, CHAIN_HEX_LEN, leaf,
			   CHAIN_HEX_LEN, chain);
	} else {
		buf_add(&copy->out, line->text);
		if (line->is_whole)
			buf_add_byte(&copy->out, '\n');
	}
	return copy->out.len < COPY_AT || copy_out(copy, err);
}

static bool write_copy(struct copy *copy, struct record_file file, struct err *err)
{
	copy->fd = io_open(copy->path, O_WRONLY | O_CREAT | O_TRUNC, 0640, err);
	if (copy->fd < 0)
		return false;
	bool ok = each_line(copy->erase, file, copy_line, copy, err) && copy_out(copy, err) &&
		  io_sync(copy->fd, copy->path, err);

	close(copy->fd);
	return ok;
}

/* Under the lock of the class: nobody appends meanwhile, and everybody looks anew afterwards. */
static bool replace_file(struct erase *erase, struct record_file file, const char *path, const struct spans *spans, struct err *err)
{
	char tmp[PATH_MAX + 16];
	struct copy copy = { .erase = erase, .spans = spans, .path = tmp };

	snprintf(tmp, sizeof tmp, "%s/" ERASE_COPY, erase->dir);
	buf_init(&copy.out, 4 * COPY_AT);
	if (!tail_lock(&erase->tail, err))
		return false;
	bool ok = write_copy(&copy, file, err) && tail_raise(&erase->tail, err);

	if (ok)                                     /* what it says of the lines that go is nobody's to know any more */
		index_remove(erase->dir, file);
	ok = ok && (io_calls.rename(tmp, path) == 0 || err_errno(err, ERR_BUSY, "rename %s", path)) &&
	     io_sync_dir_of(path, err);

	tail_unlock(&erase->tail);
	if (!ok)
		io_calls.unlink(tmp);
	buf_clear(&copy.out);
	return ok;
}

static bool erase_file(struct erase *erase, struct record_file file, struct err *err)
{
	char path[PATH_MAX], name[RECORD_NAME_MAX];
	struct find find = { .erase = erase };

	record_file_name(file, name);
	bool ok = record_file_path(erase->dir, file, path, err) && each_line(erase, file, find_line, &find, err);

	if (ok && find.records) {
		spans_sort(&find.spans);
		ok = erase->request->is_dry_run ||
		     (declare(erase, name, &find.spans, err) && replace_file(erase, file, path, &find.spans, err));
		erase->result.records += find.records;
		erase->result.files++;
	}
	spans_clear(&find.spans);
	return ok || err_wrap(err, "erasing in %s/%s", erase->dir, name);
}

static bool begin(struct erase *erase, struct err *err)
{
	char key[PATH_MAX];

	if (!record_class_dir(erase->config->dir, erase->dir, &erase->class_name, err))
		return false;
	if (erase->config->key_file.len >= sizeof key)
		return err_set(err, ERR_CONFIG, "the path of the log's key is too long");
	json_escape(&erase->needle, erase->request->tenant.len ? erase->request->tenant : erase->request->id);
	if (!buf_done(&erase->needle, &erase->wanted, err))
		return false;
	snprintf(key, sizeof key, STR_FMT, STR_ARG(erase->config->key_file));
	erase->signer = erase->request->signer;
	if (!erase->signer && key[0]) {
		if (!sign_key_load(key, &erase->log_key, err))
			return false;
		erase->signer = erase->log_key;
	}
	if (erase->request->is_dry_run)
		return true;
	return tail_open(&erase->tail, erase->dir, 0, err) && record_writer_open(erase->config, &erase->writer, err);
}

static bool erase_files(struct erase *erase, struct err *err)
{
	struct record_file *files = NULL;
	size_t count = 0;
	bool ok = record_files_list(erase->dir, &files, &count, err);

	for (size_t i = 0; ok && i < count; i++) {
		erase->next = i + 1 < count ? &files[i + 1] : NULL;
		ok = erase_file(erase, files[i], err);
	}
	erase->next = NULL;
	free(files);
	return ok;
}

static bool is_there(struct str dir)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof path, STR_FMT, STR_ARG(dir)) < (int)sizeof path &&
	       (access(path, F_OK) == 0 || errno != ENOENT);
}

bool record_erase(const struct record_writer_config *config, const struct erase_request *request, struct erase_result *out,
		  struct err *err)
{
	struct erase *erase;

	*out = (struct erase_result){ 0 };
	if (!is_there(config->dir))
		return true;
	erase = calloc(1, sizeof *erase);
	if (!erase)
		return err_memory(err);
	erase->config = config;
	erase->request = request;
	erase->tail.fd = erase->tail.lock_fd = -1;
	buf_init(&erase->needle, RECORD_LINE_MAX);
	bool ok = begin(erase, err) && erase_files(erase, err);

	*out = erase->result;
	record_writer_close(erase->writer);
	tail_close(&erase->tail);
	sign_key_free(erase->log_key);
	buf_clear(&erase->needle);
	free(erase);
	return ok;
}
