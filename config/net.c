#include "config/net.h"

#include <arpa/inet.h>

#include "config/base/num.h"

/* RFC 4291 2.5.5.2: ten octets of zero, two of ones, then the IPv4 address. */
static const unsigned char mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };
#define MAPPED_BITS 96

static bool is_mapped(const struct net_addr *addr)
{
	return memcmp(addr->octets, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void set_mapped(struct net_addr *out, const void *four)
{
	memcpy(out->octets, mapped_prefix, sizeof mapped_prefix);
	memcpy(out->octets + sizeof mapped_prefix, four, 4);
}

bool net_parse_addr(struct str s, struct net_addr *out)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char four[4];

	if (str_starts_nocase(s, STR("IPv6:")))
		s = str_from(s, 5);
	/* inet_pton stops at a NUL: "::1\0junk" must not pass for ::1. */
	if (s.len == 0 || s.len >= sizeof text || memchr(s.ptr, '\0', s.len))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	if (inet_pton(AF_INET, text, four) == 1) {
		set_mapped(out, four);
		return true;
	}

	struct net_addr addr;

	if (inet_pton(AF_INET6, text, addr.octets) != 1)
		return false;
	*out = addr;
	return true;
}

static unsigned char octet_mask(int bits)
{
	return (unsigned char)(bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff00 >> bits);
}

static bool has_host_bits(const struct net_addr *addr, int length)
{
	for (int i = 0; i < 16; i++)
		if (addr->octets[i] & (unsigned char)~octet_mask(length - i * 8))
			return true;
	return false;
}

bool net_parse_prefix(struct str s, struct net_prefix *out)
{
	struct str host = s, length;
	struct net_prefix prefix = { .length = 128 };
	bool has_length = str_cut(s, '/', &host, &length);

	if (!net_parse_addr(host, &prefix.addr))
		return false;
	if (has_length) {
		/* A length counts in the family it is written in: 192.0.2.0/24, but ::ffff:192.0.2.0/120. */
		bool is_ipv4 = str_find_byte(host, ':') == host.len;
		uint64_t bits;

		if (length.len > 3 || !num_parse_u64(length, &bits) || bits > (is_ipv4 ? 32 : 128))
			return false;
		prefix.length = (int)bits + (is_ipv4 ? MAPPED_BITS : 0);
	}
	if (has_host_bits(&prefix.addr, prefix.length))
		return false;
	*out = prefix;
	return true;
}

bool net_addr_from_sockaddr(const struct sockaddr *sa, struct net_addr *out)
{
	if (!sa)
		return false;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof in);
		set_mapped(out, &in.sin_addr);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof in6);
		memcpy(out->octets, &in6.sin6_addr, sizeof out->octets);
		return true;
	}
	return false;
}

bool net_prefix_covers(const struct net_prefix *prefix, const struct net_addr *addr)
{
	size_t whole = (size_t)prefix->length / 8;

	if (memcmp(prefix->addr.octets, addr->octets, whole) != 0)
		return false;
	return whole == 16 ||
	       ((prefix->addr.octets[whole] ^ addr->octets[whole]) & octet_mask(prefix->length % 8)) == 0;
}

bool net_list_covers(const struct net_list *list, const struct net_addr *addr)
{
	for (size_t i = 0; i < list->count; i++)
		if (net_prefix_covers(&list->items[i], addr))
			return true;
	return false;
}

void net_format_addr(const struct net_addr *addr, char out[INET6_ADDRSTRLEN])
{
	/* The longest forms of both families fit, so inet_ntop cannot fail. */
	if (is_mapped(addr))
		inet_ntop(AF_INET, addr->octets + sizeof mapped_prefix, out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, addr->octets, out, INET6_ADDRSTRLEN);
}

bool net_parse_listen(struct str s, struct sockaddr_storage *out, socklen_t *out_len)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;
	struct str host, port_text;
	struct net_addr addr;
	char text[INET6_ADDRSTRLEN];
	uint64_t port;

	if (!str_cut_last(s, ':', &host, &port_text) || !num_parse_u64(port_text, &port) || port == 0 || port > 65535)
		return false;
	if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
		host = str_slice(host, 1, host.len - 2);
	if (!net_parse_addr(host, &addr))
		return false;
	net_format_addr(&addr, text);
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*out_len = sizeof *v4;
		return true;
	}
	inet_pton(AF_INET6, text, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	*out_len = sizeof *v6;
	return true;
}
