#include "policy/store_redis_tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct redis_tls {
	SSL_CTX *context;
};

static const char *reason(char room[200])
{
	unsigned long code = ERR_get_error();

	ERR_error_string_n(code, room, 200);
	ERR_clear_error();
	return code ? room : "closed by the server";
}

static bool load(SSL_CTX *context, struct str ca_file, struct str cert_file, struct str key_file, struct err *err)
{
	char path[PATH_MAX], why[200];

	snprintf(path, sizeof path, STR_FMT, STR_ARG(ca_file));
	if (ca_file.len ? SSL_CTX_load_verify_file(context, path) != 1 : SSL_CTX_set_default_verify_paths(context) != 1)
		return err_set(err, ERR_CONFIG, "%s: no usable certificate authorities: %s", path, reason(why));
	snprintf(path, sizeof path, STR_FMT, STR_ARG(cert_file));
	if (cert_file.len && SSL_CTX_use_certificate_chain_file(context, path) != 1)
		return err_set(err, ERR_CONFIG, "%s: no usable certificate: %s", path, reason(why));
	snprintf(path, sizeof path, STR_FMT, STR_ARG(key_file));
	if (key_file.len && SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1)
		return err_set(err, ERR_CONFIG, "%s: no usable private key: %s", path, reason(why));
	return true;
}

bool redis_tls_new(struct str ca_file, struct str cert_file, struct str key_file, struct redis_tls **out,
		   struct err *err)
{
	struct redis_tls *tls = calloc(1, sizeof *tls);

	if (!tls)
		return err_memory(err);
	tls->context = SSL_CTX_new(TLS_client_method());
	if (!tls->context || SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1) {
		redis_tls_free(tls);
		return err_memory(err);
	}
	SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
	if (!load(tls->context, ca_file, cert_file, key_file, err)) {
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
	SSL *ssl = SSL_new(conn->tls->context);

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
