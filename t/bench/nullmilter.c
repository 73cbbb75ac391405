/*
 * nullmilter - a milter that does nothing, as the measure of those that do.
 *
 * It asks for exactly the actions, steps and macros it is told to (`milterload --probe` tells what another milter
 * asks for), so that the difference between the two is the other's work and not the protocol's.
 */
#include <getopt.h>
#include <libmilter/mfapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/buf.h"
#include "config/base/num.h"

#define STAGES 7
#define BODY_MAX ((size_t)64 << 20)

static unsigned long actions, steps;
static char *symbols[STAGES];
static bool replaces;
static char *field_value;

static const char usage_text[] =
	"usage: nullmilter [options] SOCKET         SOCKET as libmilter writes it: unix:/path, inet:port@host\n"
	"  --actions N         what it might do to a message, bits of SMFIF_*\n"
	"  --steps N           what it does not want and does not answer, bits of SMFIP_*\n"
	"  --symbols N:NAMES   the macros it asks for at stage N; may be repeated\n"
	"  --replace           replace each body with itself\n"
	"  --add VALUE         add a header field with this value\n";

static _Noreturn void usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

/* No answer where none was promised. */
static sfsistat go_on(unsigned long silent)
{
	return (steps & silent) ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3,
			     unsigned long *pf0, unsigned long *pf1, unsigned long *pf2, unsigned long *pf3)
{
	(void)f2, (void)f3;
	*pf0 = f0 & actions;
	*pf1 = f1 & steps;
	*pf2 = *pf3 = 0;
	for (int i = 0; i < STAGES; i++)
		if (symbols[i])
			smfi_setsymlist(ctx, i, symbols[i]);
	return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *addr)
{
	(void)ctx, (void)host, (void)addr;
	return go_on(SMFIP_NR_CONN);
}

static sfsistat on_helo(SMFICTX *ctx, char *helo)
{
	(void)ctx, (void)helo;
	return go_on(SMFIP_NR_HELO);
}

static sfsistat on_mail(SMFICTX *ctx, char **args)
{
	(void)ctx, (void)args;
	return go_on(SMFIP_NR_MAIL);
}

static sfsistat on_rcpt(SMFICTX *ctx, char **args)
{
	(void)ctx, (void)args;
	return go_on(SMFIP_NR_RCPT);
}

static sfsistat on_data(SMFICTX *ctx)
{
	(void)ctx;
	return go_on(SMFIP_NR_DATA);
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	(void)ctx, (void)name, (void)value;
	return go_on(SMFIP_NR_HDR);
}

static sfsistat on_eoh(SMFICTX *ctx)
{
	(void)ctx;
	return go_on(SMFIP_NR_EOH);
}

/* With --replace: the body of this connection's message. */
static struct buf *body_of(SMFICTX *ctx)
{
	struct buf *body = smfi_getpriv(ctx);

	if (!body && (body = malloc(sizeof *body))) {
		buf_init(body, BODY_MAX);
		smfi_setpriv(ctx, body);
	}
	return body;
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t n)
{
	struct buf *body = replaces ? body_of(ctx) : NULL;

	if (body)
		buf_add(body, str_of((char *)chunk, n));
	return go_on(SMFIP_NR_BODY);
}

static sfsistat on_eom(SMFICTX *ctx)
{
	static char field_name[] = "Sekisho-Nothing";
	struct buf *body = replaces ? body_of(ctx) : NULL;

	if (field_value && smfi_addheader(ctx, field_name, field_value) != MI_SUCCESS)
		return SMFIS_TEMPFAIL;
	if (!body || body->len == 0)
		return SMFIS_CONTINUE;

	int result = smfi_replacebody(ctx, (unsigned char *)body->ptr, (int)body->len);

	buf_reset(body);
	return result == MI_SUCCESS ? SMFIS_CONTINUE : SMFIS_TEMPFAIL;
}

static sfsistat on_abort(SMFICTX *ctx)
{
	if (smfi_getpriv(ctx))
		buf_reset(smfi_getpriv(ctx));
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct buf *body = smfi_getpriv(ctx);

	if (body)
		buf_clear(body);
	free(body);
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

/* A step that is not wanted has no function: libmilter tells the MTA by that. */
static void register_milter(void)
{
	static char name[] = "nullmilter";
	struct smfiDesc desc = {
		.xxfi_name = name, .xxfi_version = SMFI_VERSION, .xxfi_flags = actions | SMFIF_SETSYMLIST,
		.xxfi_negotiate = on_negotiate, .xxfi_eom = on_eom, .xxfi_abort = on_abort, .xxfi_close = on_close,
		.xxfi_connect = (steps & SMFIP_NOCONNECT) ? NULL : on_connect,
		.xxfi_helo = (steps & SMFIP_NOHELO) ? NULL : on_helo,
		.xxfi_envfrom = (steps & SMFIP_NOMAIL) ? NULL : on_mail,
		.xxfi_envrcpt = (steps & SMFIP_NORCPT) ? NULL : on_rcpt,
		.xxfi_data = (steps & SMFIP_NODATA) ? NULL : on_data,
		.xxfi_header = (steps & SMFIP_NOHDRS) ? NULL : on_header,
		.xxfi_eoh = (steps & SMFIP_NOEOH) ? NULL : on_eoh,
		.xxfi_body = (steps & SMFIP_NOBODY) ? NULL : on_body,
	};

	if (smfi_register(desc) != MI_SUCCESS) {
		fputs("nullmilter: cannot register\n", stderr);
		exit(1);
	}
}

static unsigned long bits(const char *text)
{
	uint64_t value;

	if (!num_parse_u64(str_from_c(text), &value) || value > UINT32_MAX)
		usage();
	return (unsigned long)value;
}

static void take_symbols(char *text)
{
	uint64_t stage;
	struct str number, names;

	if (!str_cut(str_from_c(text), ':', &number, &names) || !num_parse_u64(number, &stage) || stage >= STAGES)
		usage();
	symbols[stage] = text + number.len + 1;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "actions", required_argument, NULL, 'a' }, { "steps", required_argument, NULL, 'p' },
		{ "symbols", required_argument, NULL, 'y' }, { "replace", no_argument, NULL, 'r' },
		{ "add", required_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'a': actions = bits(optarg); break;
		case 'p': steps = bits(optarg); break;
		case 'y': take_symbols(optarg); break;
		case 'r': replaces = true; break;
		case 'h': field_value = optarg; break;
		default: usage();
		}
	}
	if (optind + 1 != argc)
		usage();
	register_milter();
	smfi_setbacklog(1024);
	if (smfi_setconn(argv[optind]) != MI_SUCCESS || smfi_opensocket(1) != MI_SUCCESS) {
		fprintf(stderr, "nullmilter: cannot listen on %s\n", argv[optind]);
		return 1;
	}
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
