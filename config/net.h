/*
 * net - IP addresses and prefixes, as values.
 *
 * An IPv4 address is kept as its IPv4-mapped IPv6 form (RFC 4291 2.5.5.2), so one comparison serves both families and
 * ::ffff:192.0.2.1 equals 192.0.2.1.
 */
#ifndef SEKISHO_NET_H
#define SEKISHO_NET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "config/base/str.h"

struct net_addr {
	unsigned char octets[16];
};

struct net_prefix {
	struct net_addr addr;          /* bits past `length` are zero */
	int length;                    /* of 128: 192.0.2.0/24 has 120 */
};

struct net_list {
	const struct net_prefix *items;
	size_t count;
};

/* "192.0.2.1", "2001:db8::1", "IPv6:2001:db8::1" as MTAs write it; no scope, no port. */
bool net_parse_addr(struct str s, struct net_addr *out);
/* An address with or without "/length"; host bits that are set are an error. */
bool net_parse_prefix(struct str s, struct net_prefix *out);
/* False for a family that has no IP address (AF_UNIX). */
bool net_addr_from_sockaddr(const struct sockaddr *sa, struct net_addr *out);
/* "127.0.0.1:9185", "[::1]:9185": for bind(2). */
bool net_parse_listen(struct str s, struct sockaddr_storage *out, socklen_t *out_len);
bool net_prefix_covers(const struct net_prefix *prefix, const struct net_addr *addr);
bool net_list_covers(const struct net_list *list, const struct net_addr *addr);
/* `out` holds INET6_ADDRSTRLEN octets; IPv4 is written as IPv4. */
void net_format_addr(const struct net_addr *addr, char out[INET6_ADDRSTRLEN]);

#endif
