/* net: addresses and prefixes as values. */
#include "t/lib/unit.h"

#include "config/net.h"

static const struct { const char *text, *want; } addr_rows[] = {
	{ "192.0.2.1", "192.0.2.1" },
	{ "::ffff:192.0.2.1", "192.0.2.1" },
	{ "2001:DB8::0:1", "2001:db8::1" },
	{ "IPv6:2001:db8::1", "2001:db8::1" },
	{ "::", "::" },
	{ "::1", "::1" },
	{ "", NULL },
	{ "IPv6:", NULL },
	{ "192.0.2", NULL },
	{ "192.0.2.256", NULL },
	{ "192.0.2.1 ", NULL },
	{ "192.0.2.1/32", NULL },
	{ "fe80::1%eth0", NULL },
	{ "[::1]", NULL },
	{ "1:2:3:4:5:6:7:8:9", NULL },
	{ "0000:0000:0000:0000:0000:ffff:192.168.100.228x0000000000000", NULL },
};
START_TEST(parse_addr)
{
	struct str text = unit_wall(str_from_c(addr_rows[_i].text));
	char out[INET6_ADDRSTRLEN];
	struct net_addr got;
	bool ok = net_parse_addr(text, &got);

	ck_assert_msg(ok == (addr_rows[_i].want != NULL), "%s", addr_rows[_i].text);
	if (ok) {
		net_format_addr(&got, out);
		ck_assert_str_eq(out, addr_rows[_i].want);
	}
	unit_wall_free(text);
}
END_TEST

START_TEST(nul_inside)
{
	struct net_addr got;

	ck_assert(!net_parse_addr(STR("::1\0x"), &got));
	ck_assert(!net_parse_addr(STR("::1\0"), &got));
}
END_TEST

static const struct { const char *text; int length; } prefix_rows[] = {
	{ "192.0.2.0/24", 120 },
	{ "192.0.2.1", 128 },
	{ "0.0.0.0/0", 96 },
	{ "::/0", 0 },
	{ "::ffff:192.0.2.0/120", 120 },
	{ "2001:db8::/32", 32 },
	{ "2001:db8::/29", 29 },
	{ "192.0.2.1/24", -1 },
	{ "2001:db8::1/32", -1 },
	{ "192.0.2.0/33", -1 },
	{ "192.0.2.0/", -1 },
	{ "192.0.2.0/-1", -1 },
	{ "192.0.2.0/+8", -1 },
	{ "192.0.2.0/0024", -1 },
	{ "::/129", -1 },
	{ "/8", -1 },
};
START_TEST(parse_prefix)
{
	struct net_prefix got = { .length = -1 };
	bool ok = net_parse_prefix(str_from_c(prefix_rows[_i].text), &got);

	ck_assert_msg(ok == (prefix_rows[_i].length >= 0), "%s", prefix_rows[_i].text);
	ck_assert_msg(got.length == prefix_rows[_i].length, "%s: %d", prefix_rows[_i].text, got.length);
}
END_TEST

static const struct { const char *prefix, *addr; bool want; } cover_rows[] = {
	{ "192.0.2.0/24", "192.0.2.255", true },
	{ "192.0.2.0/24", "192.0.3.0", false },
	{ "192.0.2.128/25", "192.0.2.127", false },
	{ "192.0.2.128/25", "::ffff:192.0.2.200", true },
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.0", false },
	{ "0.0.0.0/0", "::1", false },
	{ "0.0.0.0/0", "255.255.255.255", true },
	{ "::/0", "192.0.2.1", true },
	{ "127.0.0.0/8", "127.255.0.1", true },
	{ "2001:db8::/29", "2001:dbf::1", true },
	{ "2001:db8::/29", "2001:dc0::1", false },
};
START_TEST(covers)
{
	struct net_prefix prefix;
	struct net_addr addr;

	ck_assert(net_parse_prefix(str_from_c(cover_rows[_i].prefix), &prefix));
	ck_assert(net_parse_addr(str_from_c(cover_rows[_i].addr), &addr));
	ck_assert_msg(net_prefix_covers(&prefix, &addr) == cover_rows[_i].want, "%s in %s", cover_rows[_i].addr,
		      cover_rows[_i].prefix);
}
END_TEST

START_TEST(sockaddrs)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr local = { .sa_family = AF_UNIX };
	struct net_addr got, want;

	ck_assert(net_addr_from_sockaddr((struct sockaddr *)&in, &got));
	ck_assert(net_parse_addr(STR("192.0.2.1"), &want));
	ck_assert_mem_eq(got.octets, want.octets, sizeof got.octets);
	ck_assert(net_addr_from_sockaddr((struct sockaddr *)&in6, &got));
	ck_assert(net_parse_addr(STR("::1"), &want));
	ck_assert_mem_eq(got.octets, want.octets, sizeof got.octets);
	ck_assert(!net_addr_from_sockaddr(&local, &got));
	ck_assert(!net_addr_from_sockaddr(NULL, &got));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net");
	TCase *tc = tcase_create("net");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, parse_addr, addr_rows);
	tcase_add_test(tc, nul_inside);
	unit_add_rows(tc, parse_prefix, prefix_rows);
	unit_add_rows(tc, covers, cover_rows);
	tcase_add_test(tc, sockaddrs);
	return unit_main(suite);
}
