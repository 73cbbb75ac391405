#include "milter/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/num.h"

#define DOMAIN_TEXT "sekisho submit\n"
#define FORM "1"
#define MAC_LEN 32                     /* hexadecimal digits */
#define NONCE_LEN 8
#define CLOCK_SLACK_US (INT64_C(300) * US_PER_S)
#define PASSWD_ROOM 16384

/* --- the field */

static bool mac_of(const struct submit *submit, struct str text, char out[MAC_LEN + 1])
{
	unsigned char input[sizeof DOMAIN_TEXT + SUBMIT_FIELD_MAX], digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (text.len > SUBMIT_FIELD_MAX)
		return false;
	memcpy(input, DOMAIN_TEXT, sizeof DOMAIN_TEXT - 1);
	memcpy(input + sizeof DOMAIN_TEXT - 1, text.ptr, text.len);
	if (!HMAC(EVP_sha256(), submit->key, SUBMIT_KEY_LEN, input, sizeof DOMAIN_TEXT - 1 + text.len, digest, &len))
		return false;
	hex_write(digest, MAC_LEN / 2, out);
	out[MAC_LEN] = '\0';
	return true;
}

/* What login names are made of; a blank or an at sign would be two words, or another realm. */
static bool is_user(struct str user)
{
	for (size_t i = 0; i < user.len; i++)
		if (!ascii_is_alnum(user.ptr[i]) && !memchr("._-#$+", user.ptr[i], 6))
			return false;
	return user.len > 0 && user.len <= SUBMIT_USER_MAX;
}

bool submit_sign(const struct submit *submit, struct str user, int64_t now_us, char out[SUBMIT_FIELD_MAX])
{
	unsigned char random[NONCE_LEN];
	char nonce[2 * NONCE_LEN + 1], mac[MAC_LEN + 1];
	int len;

	if (!is_user(user) || RAND_bytes(random, sizeof random) != 1)
		return false;
	hex_write(random, sizeof random, nonce);
	nonce[2 * NONCE_LEN] = '\0';
	len = snprintf(out, SUBMIT_FIELD_MAX, FORM " " STR_FMT " %" PRId64 " %s", STR_ARG(user), now_us / US_PER_S, nonce);
	if (!mac_of(submit, str_of(out, (size_t)len), mac))
		return false;
	snprintf(out + len, SUBMIT_FIELD_MAX - (size_t)len, " %s", mac);
	return true;
}

bool submit_read(const struct submit *submit, struct str value, int64_t now_us, int64_t valid_us, struct arena *arena,
		 struct str *out_login, struct err *err)
{
	struct str text, mac, words[4], rest, login;
	char want[MAC_LEN + 1];
	int64_t seconds;

	value = str_trim(value);
	if (!submit->is_open || value.len >= SUBMIT_FIELD_MAX || !str_cut_last(value, ' ', &text, &mac) || mac.len != MAC_LEN)
		return err_set(err, ERR_INPUT, "no field of this gate's");
	if (!mac_of(submit, text, want))
		return err_memory(err);
	if (CRYPTO_memcmp(mac.ptr, want, MAC_LEN) != 0)
		return err_set(err, ERR_INPUT, "no field of this gate's");
	/* It is ours, so it has this form; older forms will have another version. */
	rest = text;
	for (size_t i = 0; i < 4; i++)
		if (!str_next(&rest, ' ', &words[i]))
			return err_set(err, ERR_INPUT, "a form that is not known");
	if (!str_eq(words[0], STR(FORM)) || !num_parse_i64(words[2], &seconds) ||
	    seconds * US_PER_S > now_us + CLOCK_SLACK_US || now_us - seconds * US_PER_S > valid_us)
		return err_set(err, ERR_INPUT, "its time is over");
	return (arena_printf(arena, &login, STR_FMT SUBMIT_REALM, STR_ARG(words[1])) && arena_copy_lower(arena, login, out_login)) ||
	       err_memory(err);
}

/* --- the key */

static bool load_key(struct submit *submit, const char *path, struct err *err)
{
	struct buf text;
	struct str key;
	bool ok;

	if (access(path, F_OK) != 0) {
		ok = RAND_bytes(submit->key, SUBMIT_KEY_LEN) == 1 ||
		     err_set(err, ERR_BUSY, "no random octets for a key");
		return ok && io_replace_file(path, str_of((const char *)submit->key, SUBMIT_KEY_LEN), 0600, err);
	}
	buf_init(&text, SUBMIT_KEY_LEN);
	ok = io_read_secret(path, &text, err) && buf_done(&text, &key, err) &&
	     (key.len == SUBMIT_KEY_LEN || err_set(err, ERR_CONFIG, "%s has not %d octets; remove it, and it is made anew", path, SUBMIT_KEY_LEN));
	if (ok)
		memcpy(submit->key, key.ptr, SUBMIT_KEY_LEN);
	buf_clear(&text);
	return ok;
}

/* --- the socket */

/* A name, or "#1001" for one that has none. */
static void user_of(uid_t uid, char out[SUBMIT_USER_MAX + 1])
{
	char room[PASSWD_ROOM];
	struct passwd entry, *found = NULL;

	if (getpwuid_r(uid, &entry, room, sizeof room, &found) == 0 && found && is_user(str_from_c(found->pw_name)))
		snprintf(out, SUBMIT_USER_MAX + 1, "%s", found->pw_name);
	else
		snprintf(out, SUBMIT_USER_MAX + 1, "#%u", (unsigned)uid);
}

/* One short answer, which the socket's buffer takes whole: nobody can keep us waiting. */
static void answer(const struct submit *submit, int peer)
{
	char user[SUBMIT_USER_MAX + 1], value[SUBMIT_FIELD_MAX], line[SUBMIT_FIELD_MAX + sizeof SUBMIT_HEADER + 4];
	socklen_t len = sizeof(struct ucred);
	struct ucred who;
	int n;

	if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return;
	user_of(who.uid, user);
	if (!submit_sign(submit, str_from_c(user), clock_now_us(), value))
		return;
	n = snprintf(line, sizeof line, SUBMIT_HEADER ": %s\n", value);
	if (send(peer, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
		log_debug("submit: %s did not wait for an answer", user);
}

static void *serve(void *arg)
{
	struct submit *submit = arg;
	struct pollfd fds[] = { { .fd = submit->socket, .events = POLLIN },
				{ .fd = submit->stop[0], .events = POLLIN } };

	for (;;) {
		int peer;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		peer = accept4(submit->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (peer >= 0) {
			answer(submit, peer);
			close(peer);
		} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			poll(&fds[1], 1, 100);         /* descriptors and memory come back; until then others wait at the door */
		}
	}
	return NULL;
}

/* Every user of the host may ask: what he hears is his own name. */
static bool listen_at(struct submit *submit, struct str path, struct err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (path.len >= sizeof at.sun_path)
		return err_set(err, ERR_CONFIG, "submit.socket: a path of a socket has at most %zu octets",
			       sizeof at.sun_path - 1);
	memcpy(at.sun_path, path.ptr, path.len);
	if (!io_remove_socket(at.sun_path, err))
		return err_wrap(err, "submit.socket");
	submit->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (submit->socket < 0 || bind(submit->socket, (const void *)&at, sizeof at) != 0 || chmod(at.sun_path, 0666) != 0 ||
	    listen(submit->socket, SOMAXCONN) != 0)
		return err_errno(err, ERR_CONFIG, "submit.socket: %s", at.sun_path);
	return true;
}

bool submit_open(struct submit *submit, const struct config *config, struct err *err)
{
	char path[PATH_MAX];

	*submit = (struct submit){ .socket = -1, .stop = { -1, -1 } };
	if (config->submit_socket.len == 0)
		return true;
	snprintf(path, sizeof path, STR_FMT "/submit.key", STR_ARG(config->state_dir));
	if (!load_key(submit, path, err) || !listen_at(submit, config->submit_socket, err))
		return false;
	if (pipe2(submit->stop, O_CLOEXEC) != 0)
		return err_errno(err, ERR_BUSY, "submit.socket");

	int why = pthread_create(&submit->thread, NULL, serve, submit);

	submit->is_open = why == 0;
	return submit->is_open || err_set(err, ERR_BUSY, "thread for submit.socket: %s", strerrordesc_np(why));
}

void submit_close(struct submit *submit)
{
	if (submit->is_open) {
		close(submit->stop[1]);
		pthread_join(submit->thread, NULL);
		close(submit->stop[0]);
		submit->is_open = false;
	}
	if (submit->socket >= 0)
		close(submit->socket);
	explicit_bzero(submit->key, sizeof submit->key);
}
