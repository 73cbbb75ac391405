/* What the gate says of a user of this host, and what it believes. */
#include "t/lib/unit.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/base/num.h"
#include "milter/submit.h"

#define NOW (INT64_C(1795186800) * US_PER_S)
#define VALID (INT64_C(86400) * US_PER_S)

static const struct submit ours = { .key = { 1, 2, 3 }, .is_open = true }, theirs = { .key = { 1, 2, 4 }, .is_open = true };

static bool reads(const struct submit *submit, struct str value, int64_t now_us, char out[128])
{
	struct arena arena;
	struct str login = STR_EMPTY;

	arena_init(&arena, 65536);

	bool ok = submit_read(submit, value, now_us, VALID, &arena, &login, NULL);

	snprintf(out, 128, STR_FMT, STR_ARG(login));
	arena_clear(&arena);
	return ok;
}

static const struct { const char *user, *login; } users[] = {
	{ "web42", "web42@unix" }, { "Web42", "web42@unix" }, { "#1001", "#1001@unix" }, { "a.b-c_d$", "a.b-c_d$@unix" },
	{ "", NULL }, { "two words", NULL }, { "web42@unix", NULL }, { "web\n42", NULL }, { "web/42", NULL }, { "\xe5\xb1\xb1", NULL },
	{ "0123456789012345678901234567890123456789012345678901234567890123", "0123456789012345678901234567890123456789012345678901234567890123@unix" },
	{ "01234567890123456789012345678901234567890123456789012345678901234", NULL },
};

START_TEST(round_trip)
{
	char value[SUBMIT_FIELD_MAX], login[128];

	ck_assert_int_eq(submit_sign(&ours, str_from_c(users[_i].user), NOW, value), users[_i].login != NULL);
	if (!users[_i].login)
		return;
	ck_assert(reads(&ours, str_from_c(value), NOW + VALID, login));
	ck_assert_str_eq(login, users[_i].login);
	ck_assert(!reads(&ours, str_from_c(value), NOW + VALID + US_PER_S, login));
	ck_assert(reads(&ours, str_from_c(value), NOW - 299 * US_PER_S, login));
	ck_assert(!reads(&ours, str_from_c(value), NOW - 3600 * US_PER_S, login));
	ck_assert(!reads(&theirs, str_from_c(value), NOW, login));
	ck_assert(!reads(&(struct submit){ .key = { 1, 2, 3 } }, str_from_c(value), NOW, login));
}
END_TEST

/* Each octet altered, each end cut, and words put in between. */
START_TEST(forged)
{
	char value[SUBMIT_FIELD_MAX], login[128], more[2 * SUBMIT_FIELD_MAX + 64];
	size_t len;

	ck_assert(submit_sign(&ours, STR("web42"), NOW, value));
	len = strlen(value);
	for (size_t i = 0; i < len; i++) {
		struct str walled;

		value[i] ^= 1;
		walled = unit_wall(str_of(value, len));
		ck_assert_msg(!reads(&ours, walled, NOW, login), "octet %zu altered", i);
		unit_wall_free(walled);
		value[i] ^= 1;
		ck_assert_msg(!reads(&ours, str_of(value, i), NOW, login), "cut to %zu", i);
		ck_assert_msg(i == 0 || !reads(&ours, str_from(str_from_c(value), i), NOW, login), "cut at %zu", i);
	}
	snprintf(more, sizeof more, "1 root %s", value);
	ck_assert(!reads(&ours, str_from_c(more), NOW, login));
	snprintf(more, sizeof more, "%s %s", value, value);
	ck_assert(!reads(&ours, str_from_c(more), NOW, login));
	snprintf(more, sizeof more, " \n\t%.200s ", value);
	ck_assert(reads(&ours, str_from_c(more), NOW, login));         /* as a header folds it */
	ck_assert(!reads(&ours, STR_EMPTY, NOW, login));
}
END_TEST

static void ask(const char *path, char out[512])
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ssize_t n;

	snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
	ck_assert_int_eq(connect(fd, (const void *)&to, sizeof to), 0);
	n = recv(fd, out, 511, MSG_WAITALL);
	ck_assert_int_gt(n, 0);
	out[n] = '\0';
	close(fd);
}

/* A field that holds and a field that does not are told apart, or the message waits. */
START_TEST(no_room)
{
	char value[SUBMIT_FIELD_MAX];
	struct arena arena;
	struct str login;
	struct err err;

	ck_assert(submit_sign(&ours, STR("web42"), NOW, value));
	arena_init(&arena, 16);
	ck_assert(!submit_read(&ours, str_from_c(value), NOW, VALID, &arena, &login, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	ck_assert(!submit_read(&theirs, str_from_c(value), NOW, VALID, &arena, &login, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	arena_clear(&arena);
}
END_TEST

/* The key is made once, and holds over a restart. */
START_TEST(over_a_socket)
{
	char path[4096], line[512], other[512], login[128];
	struct config config = { .submit_valid_us = VALID };
	struct submit submit;
	struct str name, value;
	struct err err;

	snprintf(path, sizeof path, "%s/s", unit_dir());
	config.state_dir = str_from_c(unit_dir());
	config.submit_socket = str_from_c(path);
	ck_assert_msg(submit_open(&submit, &config, &err), "%s", err.text);
	ask(path, line);
	ask(path, other);
	ck_assert_str_ne(line, other);
	submit_close(&submit);
	ck_assert_msg(submit_open(&submit, &config, &err), "%s", err.text);
	ck_assert(str_cut(str_from_c(line), ':', &name, &value));
	ck_assert_str_is(name, STR(SUBMIT_HEADER));
	struct arena arena;
	struct str who;

	arena_init(&arena, 65536);
	ck_assert(str_ends(value, STR("\n")));
	ck_assert(submit_read(&submit, value, INT64_C(1000000) * US_PER_S, VALID, &arena, &who, NULL) == false);
	arena_clear(&arena);
	submit_close(&submit);
	ck_assert(!reads(&submit, value, NOW, login));         /* closed, and its key is gone */

	/* What is no socket is somebody's file, whatever the setting says. */
	struct stat st;

	unlink(path);
	unit_file("s", STR("mine"));
	ck_assert(!submit_open(&submit, &config, &err));
	ck_assert_msg(strstr(err.text, "/s is there and is no socket"), "%s", err.text);
	ck_assert(stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 4);
	submit_close(&submit);

	memset(path, 'x', 200);
	path[200] = '\0';
	config.submit_socket = str_from_c(path);
	ck_assert(!submit_open(&submit, &config, &err));
	submit_close(&submit);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("submit");
	TCase *tc = tcase_create("submit");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, round_trip, users);
	tcase_add_test(tc, forged);
	tcase_add_test(tc, no_room);
	tcase_add_test(tc, over_a_socket);
	return unit_main(suite);
}
