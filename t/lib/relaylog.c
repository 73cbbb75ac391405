#include "t/lib/relaylog.h"

#include <inttypes.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/hex.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "milter/record/chain.h"
#include "milter/record/entry.h"
#include "milter/record/reader.h"
#include "milter/record/sign.h"
#include "milter/record/timesync.h"

void relaylog_setup(struct relaylog *log)
{
	static int number;
	char id[SIGN_ID_LEN + 1];

	number++;
	log_open("unit", LOG_TO_STDERR, LOG_LEVEL_ERROR);
	snprintf(log->dir, sizeof log->dir, "%s/log%d-%d/relay", unit_dir(), (int)getpid(), number);
	snprintf(log->key, sizeof log->key, "%s/log%d-%d.key", unit_dir(), (int)getpid(), number);
	snprintf(log->pub, sizeof log->pub, "%s/log%d-%d.key.pub", unit_dir(), (int)getpid(), number);
	snprintf(log->keyring, sizeof log->keyring, "%s/log%d-%d.ring", unit_dir(), (int)getpid(), number);
	ck_assert(sign_key_new(log->key, id, NULL));
	timesync_set(0);
	clock_set(NOON);
}

struct record_writer_config relaylog_config(const struct relaylog *log)
{
	return (struct record_writer_config){
		.dir = str_from_c(log->dir), .node = STR("mx1"), .key_file = str_from_c(log->key),
		.keyring = str_from_c(log->keyring),
		.checkpoint_busy_us = 3600 * US_PER_S, .checkpoint_idle_us = 86400 * US_PER_S, .preallocate = 1 << 16,
	};
}

struct record_writer *relaylog_open(const struct relaylog *log)
{
	struct record_writer_config config = relaylog_config(log);
	struct record_writer *writer = NULL;
	struct err err = { .kind = ERR_NONE };

	ck_assert_msg(record_writer_open(&config, &writer, &err), "%s", err.text);
	return writer;
}

bool relaylog_try_append(struct record_writer *writer, const char *event, const char *tenant, struct err *err)
{
	struct record_event record = { .event = str_from_c(event), .tenant = str_from_c(tenant), .verdict = STR("accept") };

	return record_append(writer, &record, RECORD_DURABLE, NULL, err);
}

void relaylog_append(struct record_writer *writer, const char *event, const char *tenant)
{
	struct err err = { .kind = ERR_NONE };

	ck_assert_msg(relaylog_try_append(writer, event, tenant, &err), "%s", err.text);
}

void relaylog_days(const struct relaylog *log, int days, int records)
{
	struct record_writer *writer = relaylog_open(log);

	for (int day = 0; day < days; day++) {
		clock_set(NOON + day * DAY_US);
		for (int i = 0; i < records; i++)
			relaylog_append(writer, "accepted", i % 2 ? "ginza" : "acme");
	}
	record_writer_close(writer);
}

static void add_story(struct buf *out, struct str line, struct arena *arena)
{
	struct record_line got;
	struct err err;

	ck_assert_msg(record_parse(line, arena, &got, &err), "%s", err.text);
	if (out->len)
		buf_add_byte(out, ' ');
	if (got.is_erased)
		buf_add_c(out, "-");
	buf_add(out, got.event.event);
	if (got.stamp.tseq)
		buf_printf(out, ":" STR_FMT ":%" PRId64, STR_ARG(got.event.tenant), got.stamp.tseq);
	if (got.stamp.clock.len)
		buf_printf(out, "(" STR_FMT ")", STR_ARG(got.stamp.clock));
}

const char *relaylog_story(const struct relaylog *log, bool with_files)
{
	static struct buf out = { .max = 16 << 20 };
	struct record_reader *reader;
	struct arena arena;
	struct str line;
	bool is_torn, found;
	char file[64] = "";

	buf_reset(&out);
	arena_init(&arena, 64 << 20);
	ck_assert(record_reader_open(str_from_c(log->dir), INT64_MIN, INT64_MAX, false, &reader, NULL));
	while (record_reader_next(reader, &line, &is_torn, &found, NULL) && found) {
		if (with_files && strcmp(file, record_reader_file(reader)) != 0) {
			snprintf(file, sizeof file, "%s", record_reader_file(reader));
			buf_printf(&out, "%s%s:", out.len ? " " : "", file);
		}
		ck_assert(!is_torn);
		add_story(&out, line, &arena);
	}
	record_reader_close(reader);
	arena_clear(&arena);
	buf_add_byte(&out, '\0');
	return out.ptr;
}

void relaylog_path(const struct relaylog *log, const char *file, char out[PATH_MAX])
{
	ck_assert_int_lt(snprintf(out, PATH_MAX, "%s/%s", log->dir, file), PATH_MAX);
}

void relaylog_lock_up(const struct relaylog *log, const char *file)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	char path[PATH_MAX];

	relaylog_path(log, file, path);
	ck_assert_int_eq(chmod(path, 0), 0);
	ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
	data[0].permitted &= ~(1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH);
	data[0].effective &= data[0].permitted;
	prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
	prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
	ck_assert_int_lt(io_open(path, O_RDONLY, 0, NULL), 0);
}

void relaylog_read(const struct relaylog *log, const char *file, struct buf *out)
{
	char path[PATH_MAX];
	struct err err;

	relaylog_path(log, file, path);
	buf_init(out, 256 << 20);
	ck_assert_msg(io_read_file(path, out, &err), "%s", err.text);
}

void relaylog_write(const struct relaylog *log, const char *file, struct str text)
{
	char path[PATH_MAX];
	struct err err;

	relaylog_path(log, file, path);

	int fd = io_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640, &err);

	ck_assert_msg(fd >= 0 && io_write_all(fd, text, path, &err), "%s", err.text);
	close(fd);                                  /* not synced: tests write thousands of these */
}

static char once[4096];
static size_t once_len;

void relaylog_keep_once(const struct relaylog *log)
{
	struct buf text;

	relaylog_read(log, ".once", &text);
	ck_assert_uint_le(text.len, sizeof once);
	memcpy(once, text.ptr, text.len);
	once_len = text.len;
	buf_clear(&text);
}

void relaylog_put_once(const struct relaylog *log)
{
	relaylog_write(log, ".once", str_of(once, once_len));
}

size_t relaylog_line(struct str text, size_t number)
{
	size_t at = 0;

	while (number-- > 0) {
		at += str_find_byte(str_from(text, at), '\n') + 1;
		ck_assert_uint_le(at, text.len);
	}
	return at;
}

void relaylog_rechain(struct buf *text, size_t number)
{
	unsigned char chain[CHAIN_LEN];
	size_t at = relaylog_line(buf_view(text), number);

	ck_assert(hex_read(str_of(text->ptr + at - 67, 64), chain, CHAIN_LEN));
	while (at < text->len) {
		size_t end = at + str_find_byte(str_from(buf_view(text), at), '\n');
		unsigned char leaf[CHAIN_LEN];

		chain_leaf(str_of(text->ptr + at, end - 76 - at), leaf);
		chain_advance(chain, leaf);
		hex_write(chain, CHAIN_LEN, text->ptr + end - 66);
		at = end + 1;
	}
}

void relaylog_take_out(const struct relaylog *log, const char *file, int64_t seq)
{
	struct buf text, out;

	relaylog_read(log, file, &text);
	buf_init(&out, 1 << 20);

	size_t at = relaylog_line(buf_view(&text), (size_t)seq - 1), end = relaylog_line(buf_view(&text), (size_t)seq);
	unsigned char leaf[CHAIN_LEN];
	char hex[CHAIN_HEX_LEN];

	chain_leaf(str_of(text.ptr + at, end - 77 - at), leaf);
	hex_write(leaf, CHAIN_LEN, hex);
	buf_add(&out, str_of(text.ptr, at));
	buf_printf(&out, "{\"seq\":%" PRId64 ",\"erased\":\"%.*s\"", seq, CHAIN_HEX_LEN, hex);
	buf_add(&out, str_from(buf_view(&text), end - 77));
	relaylog_write(log, file, buf_view(&out));
	buf_clear(&text);
	buf_clear(&out);
}

void relaylog_declare(const struct record_writer_config *config, const struct relaylog *signer, const char *node, const char *file,
		      int64_t seq)
{
	const struct erased_entry entry = { .node = str_from_c(node), .class_name = STR("relay"), .file = str_from_c(file) };
	struct record_event event = { .event = STR("erased") };
	struct record_writer *writer;
	struct spans spans = { 0 };
	struct sign_key *key;
	struct buf detail;
	size_t at = 0;

	buf_init(&detail, RECORD_JSON_MAX);
	ck_assert(sign_key_load(signer->key, &key, NULL) && spans_add(&spans, seq, seq));
	ck_assert(erased_entry_write(&entry, &spans, &at, key, &detail, NULL) && buf_done(&detail, &event.detail, NULL));
	ck_assert(record_writer_open(config, &writer, NULL) && record_append(writer, &event, RECORD_DURABLE, NULL, NULL));
	record_writer_close(writer);
	buf_clear(&detail);
	spans_clear(&spans);
	sign_key_free(key);
}

/* Exit status; 127: the program is not there. */
static int run_quietly(const char *const *words)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execvp(words[0], (char *const *)(uintptr_t)words);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "%s ended by a signal", words[0]);
	return WEXITSTATUS(status);
}

/* The tool asks the kernel for the time: preloaded, it hears ours. */
static void shift_clock(const char *builddir)
{
	char preload[PATH_MAX], path[PATH_MAX];
	int64_t shift_us = clock_now_us();

	clock_set(0);
	int64_t real_us = clock_now_us();

	clock_set(shift_us);
	shift_us -= real_us;
	snprintf(preload, sizeof preload, "%s/t/lib/timeshift.so", builddir);
	snprintf(path, sizeof path, "%s/shift", unit_dir());
	ck_assert_int_eq(access(preload, R_OK), 0);
	ck_assert(io_replace_file(path, str_of((const char *)&shift_us, sizeof shift_us), 0600, NULL));
	setenv("LD_PRELOAD", preload, 1);
	setenv("TIMESHIFT_FILE", path, 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
}

#define OPTIONS_MAX 16

/* `words` with the caller's options behind them. */
static int ask(const char *const *words, const char *const *options)
{
	const char *line[OPTIONS_MAX * 2];
	size_t n = 0;

	for (; *words; words++)
		line[n++] = *words;
	for (; *options; options++)
		line[n++] = *options;
	line[n] = NULL;
	return run_quietly(line);
}

void relaylog_opinions(const struct relaylog *log, int want, const char *what, ...)
{
	const char *srcdir = getenv("srcdir"), *builddir = getenv("builddir"), *options[OPTIONS_MAX] = { "--node", "mx1" };
	char script[PATH_MAX], tool[PATH_MAX], now[JST_TIME_LEN + 1];
	va_list ap;

	if (!srcdir || !builddir)
		return;                             /* run by hand, not by make check */
	va_start(ap, what);
	for (size_t i = 2; i < OPTIONS_MAX - 1 && (options[i] = va_arg(ap, const char *)) != NULL; i++)
		;
	va_end(ap);

	const char *const *said = options;

	if (options[2] && strcmp(options[2], "--node") == 0)
		said += options[3][0] ? 2 : 4;

	snprintf(script, sizeof script, "%s/contrib/sekisho-log-verify.py", srcdir);
	snprintf(tool, sizeof tool, "%s/sekisho", builddir);
	ck_assert_int_eq(access(script, R_OK), 0);
	jst_format_time(clock_now_us(), now);

	int got = ask((const char *[]){ "python3", script, "--class", "relay", "--now", now, log->pub, log->dir, NULL }, said);

	ck_assert_msg(got == want || got == 127, "%s: contrib/sekisho-log-verify.py says %d, not %d", what, got, want);
	shift_clock(builddir);
	got = ask((const char *[]){ tool, "log", "verify", "--key", log->pub, log->dir, NULL }, said);
	unsetenv("LD_PRELOAD");
	ck_assert_msg(got == want, "%s: sekisho log verify says %d, not %d", what, got, want);
}

int relaylog_search(const struct relaylog *log)
{
	const char *builddir = getenv("builddir");
	char tool[PATH_MAX], config[PATH_MAX], text[3 * PATH_MAX];
	int got;

	if (!builddir)
		return -1;
	snprintf(tool, sizeof tool, "%s/sekisho", builddir);
	snprintf(config, sizeof config, "%s/search.yaml", unit_dir());
	snprintf(text, sizeof text, "node: mx1\nstate_dir: %s/state\nmetrics: {listen: none}\nrelay_log: {dir: %.*s, key_file: none}\n"
		 "tenants: {acme: {match: [{auth: a}]}}\n", unit_dir(), (int)(strlen(log->dir) - strlen("/relay")), log->dir);
	ck_assert(io_replace_file(config, str_from_c(text), 0644, NULL));
	shift_clock(builddir);
	got = run_quietly((const char *[]){ tool, "-c", config, "log", "search", "--event", "accepted", NULL });
	unsetenv("LD_PRELOAD");
	return got;
}

void relaylog_verify(const struct relaylog *log, struct verify_report *out)
{
	struct verify_options options = { .dir = str_from_c(log->dir), .public_key_file = str_from_c(log->pub),
					  .node = STR("mx1"), .class_name = STR("relay"), .first_day = INT64_MIN,
					  .last_day = INT64_MAX };
	struct err err;

	ck_assert_msg(record_verify(&options, out, &err), "%s", err.text);
}

void relaylog_must_verify(const struct relaylog *log, enum verify_result want)
{
	struct verify_report report;

	relaylog_verify(log, &report);
	ck_assert_msg(report.result == want, "%d, not %d: " STR_FMT, (int)report.result, (int)want,
		      STR_ARG(report.finding_count ? report.findings[0].text : STR_EMPTY));
	verify_report_clear(&report);
}
