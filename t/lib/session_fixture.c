#include "t/lib/session_fixture.h"

#include <glob.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/sign.h"
#include "t/lib/configured.h"
#include "t/lib/unit.h"

#define TEXT_MAX 65536
#define LOG_MAX ((size_t)16 << 20)
#define TOKEN_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" \
	"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"

struct gate gate;
const struct session_macros fixture_macros = { .queue_id = STR_INIT("4QfQ1") };

static char home[PATH_MAX];

/* Where no other gate was, of this process or of another test's. */
static void find_home(void)
{
	static unsigned count;

	ck_assert_int_lt(snprintf(home, sizeof home, "%s/%ld-%u", unit_dir(), (long)getpid(), ++count), PATH_MAX);
}

static void make_keys(void)
{
	char path[PATH_MAX + 8], id[SIGN_ID_LEN + 1];
	struct err err;

	unit_file("tokens", STR("1 " TOKEN_KEY "\n"));
	snprintf(path, sizeof path, "%s.key", home);
	ck_assert_msg(sign_key_new(path, id, &err), "%s", err.text);
}

void fixture_open(const char *format, ...)
{
	struct config *config;
	struct buf text;
	struct err err;
	va_list args;

	find_home();
	make_keys();
	buf_init(&text, TEXT_MAX);
	buf_printf(&text,
		   "node: gate.test\n"
		   "state_dir: %1$s\n"
		   "tracking: { key_file: %2$s/tokens }\n"
		   "relay_log: { dir: %1$s/log, key_file: %1$s.key }\n"
		   "log: { to: stderr, level: error }\n", home, unit_dir());
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	ck_assert(!text.failed);
	config = configured_file(unit_file("gate.yaml", buf_view(&text)));
	buf_clear(&text);
	ck_assert_msg(gate_open(&gate, config, &err), "%s", err.text);
	config_publish(config);
}

void fixture_close(void)
{
	gate_close(&gate);
	config_publish(NULL);
}

struct str fixture_log(const char *class)
{
	static struct buf text;
	char pattern[PATH_MAX + 64];
	glob_t found;
	struct err err;

	fixture_close();
	snprintf(pattern, sizeof pattern, "%s/log/%s/*.jsonl", home, class);
	ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
	buf_clear(&text);
	buf_init(&text, LOG_MAX);
	for (size_t i = 0; i < found.gl_pathc; i++)
		ck_assert_msg(io_read_file(found.gl_pathv[i], &text, &err), "%s", err.text);
	globfree(&found);
	return buf_view(&text);
}

struct session *fixture_visitor(void)
{
	const struct session_abilities all = { .sees_body = true, .can_rewrite = true, .can_readdress = true };
	struct session *s = session_new(&gate, &all);

	ck_assert_ptr_nonnull(s);
	fixture_connect(s, "192.0.2.1");
	session_helo(s, STR("client.example"));
	return s;
}

void fixture_connect(struct session *s, const char *client)
{
	struct net_addr address;

	if (client)
		ck_assert(net_parse_addr(str_from_c(client), &address));
	session_connect(s, client ? &address : NULL, !client);
}

enum session_answer fixture_mail(struct session *s, const char *auth, const char *sender, struct reply *reply)
{
	const struct session_macros macros = { .auth_authen = str_from_c(auth) };

	return session_mail(s, str_from_c(sender), NULL, 0, &macros, reply);
}
