#include "policy/store_redis_tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/base/log.h"

enum { AUTHORITIES, CERTIFICATE, KEY, FILE_COUNT };

/* What a file was when it was read. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
};

struct redis_tls {
	SSL_CTX *context;              /* of the next connection; those that stand keep theirs */
	char paths[FILE_COUNT][PATH_MAX];      /* empty: none */
	struct stamp stamps[FILE_COUNT];
	bool is_stale;                 /* the files could not be read when they changed last */
};

static const char *reason(char room[200])
{
	unsigned long code = ERR_get_error();

	ERR_error_string_n(code, room, 200);
	ERR_clear_error();
	return code ? room : "closed by the server";
}

static bool load(SSL_CTX *context, char paths[FILE_COUNT][PATH_MAX], struct err *err)
{
	const char *authorities = paths[AUTHORITIES], *certificate = paths[CERTIFICATE], *key = paths[KEY];
	char why[200];

	if (*authorities ? SSL_CTX_load_verify_file(context, authorities) != 1 : SSL_CTX_set_default_verify_paths(context) != 1)
		return err_set(err, ERR_CONFIG, "%s: no usable certificate authorities: %s", authorities, reason(why));
	if (*certificate && SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		return err_set(err, ERR_CONFIG, "%s: no usable certificate: %s", certificate, reason(why));
	if (*key && SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		return err_set(err, ERR_CONFIG, "%s: no usable private key: %s", key, reason(why));
	return true;
}

/* NULL with err. */
static SSL_CTX *make_context(char paths[FILE_COUNT][PATH_MAX], struct err *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(context);
		err_memory(err);
		return NULL;
	}
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (load(context, paths, err))
		return context;
	SSL_CTX_free(context);
	return NULL;
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

/* True: some file is another than it was. */
static bool look_at_files(struct redis_tls *tls)
{
	bool has_changed = false;

	for (int i = 0; i < FILE_COUNT; i++) {
		struct stamp now = { 0 };
		struct stat st;

		if (tls->paths[i][0] && stat(tls->paths[i], &st) == 0)
			now = (struct stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
		has_changed |= !is_same(&now, &tls->stamps[i]);
		tls->stamps[i] = now;
	}
	return has_changed;
}

/* Certificates are renewed under a running process. Files that are no good, perhaps because only one of two has been
 * replaced yet, leave what was read before; so do those that no descriptor or memory was left to read. Each connection tries
 * them again, and a change that cannot be followed is told once. */
static void read_again(struct redis_tls *tls)
{
	bool has_changed = look_at_files(tls);
	struct err err = { 0 };
	SSL_CTX *context;

	if (!has_changed && !tls->is_stale)
		return;
	context = make_context(tls->paths, &err);
	tls->is_stale = !context;
	if (!context) {
		if (has_changed)
			log_warn("redis: TLS goes on with the certificates read before: %s", err.text);
		return;
	}
	SSL_CTX_free(tls->context);
	tls->context = context;
}

bool redis_tls_new(struct str ca_file, struct str cert_file, struct str key_file, struct redis_tls **out,
		   struct err *err)
{
	const struct str files[FILE_COUNT] = { [AUTHORITIES] = ca_file, [CERTIFICATE] = cert_file, [KEY] = key_file };
	struct redis_tls *tls = calloc(1, sizeof *tls);

	if (!tls)
		return err_memory(err);
	for (int i = 0; i < FILE_COUNT; i++)
		snprintf(tls->paths[i], sizeof tls->paths[i], STR_FMT, STR_ARG(files[i]));
	look_at_files(tls);
	tls->context = make_context(tls->paths, err);
	if (!tls->context) {
		redis_tls_free(tls);
		return false;
	}
	*out = tls;
	return true;
}

void redis_tls_free(struct redis_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

/* An address is held against the certificate's addresses, a name against its names. */
static bool expect_peer(SSL *ssl, const char *host)
{
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
		return true;
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool begin(struct redis_conn *conn)
{
	SSL *ssl;

	read_again(conn->tls);
	ssl = SSL_new(conn->tls->context);
	if (!ssl || SSL_set_fd(ssl, conn->fd) != 1 || !expect_peer(ssl, conn->address.host)) {
		SSL_free(ssl);
		return false;
	}
	conn->session = ssl;
	return true;
}

/* -1 with errno as a socket would; `n` is what OpenSSL gave. */
static ssize_t result(struct redis_conn *conn, int n)
{
	char why[200];

	conn->wants_write = false;
	if (n > 0)
		return n;
	switch (SSL_get_error(conn->session, n)) {
	case SSL_ERROR_WANT_WRITE:
		conn->wants_write = true;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_READ:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		snprintf(conn->why, sizeof conn->why, "TLS: %s", reason(why));
		errno = EPROTO;
		return -1;
	}
}

enum tls_step redis_tls_handshake(struct redis_conn *conn)
{
	long verdict;

	if (!conn->session && !begin(conn)) {
		snprintf(conn->why, sizeof conn->why, "TLS: out of memory");
		return TLS_FAILED;
	}
	ERR_clear_error();
	if (result(conn, SSL_connect(conn->session)) > 0)
		return TLS_DONE;
	if (errno == EAGAIN)
		return TLS_GOES_ON;
	verdict = SSL_get_verify_result(conn->session);
	if (verdict != X509_V_OK)
		snprintf(conn->why, sizeof conn->why, "TLS: the server's certificate: %s",
			 X509_verify_cert_error_string(verdict));
	return TLS_FAILED;
}

static int at_most(size_t size)
{
	return size > INT_MAX ? INT_MAX : (int)size;
}

ssize_t redis_tls_read(struct redis_conn *conn, char *out, size_t size)
{
	ERR_clear_error();
	return result(conn, SSL_read(conn->session, out, at_most(size)));
}

ssize_t redis_tls_write(struct redis_conn *conn, struct str bytes)
{
	ERR_clear_error();
	return result(conn, SSL_write(conn->session, bytes.ptr, at_most(bytes.len)));
}

void redis_tls_close(struct redis_conn *conn)
{
	SSL_free(conn->session);
	conn->session = NULL;
}
