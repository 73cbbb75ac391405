/*
 * rewrite_fixture - messages as text, the rules of a tenant that tracks, and keys that open what was sealed.
 */
#ifndef SEKISHO_T_REWRITE_FIXTURE_H
#define SEKISHO_T_REWRITE_FIXTURE_H

#include "milter/rewrite.h"

/* For rows: the host of tracked links, the header of a page, a link. */
#define HOST "t.example"
#define HTML "Message-ID: <1@x>\r\nContent-Type: text/html; charset=utf-8\r\n"
#define BLANK "\r\n"
#define A1 "<a href=\"http://x.example/1\">"

extern struct arena rewrite_arena;     /* of 256 MiB, for all that a test makes */
extern struct token_keys *rewrite_keys;

/* A checked fixture. */
void rewrite_setup(void);
void rewrite_teardown(void);

/* Of tenant acme: opens and clicks. */
struct rewrite_rules rewrite_rules_all(void);
/* `text` as a message of 2024-10-04, of at most 1000 fields; returns what stands between its header and its body. */
struct str rewrite_parse(struct str text, struct rewrite_message *out);
/* Rewrites; the message as it leaves. */
struct str rewrite_text(const struct rewrite_rules *rules, struct str text, struct rewrite_result *result);
/* The characters of a token that `text` begins with. */
struct str rewrite_token(struct str text);

#endif
