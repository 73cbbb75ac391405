/*
 * agents - who is no person: words of User-Agent fields and networks, as data.
 *
 * A mail scanner or an image proxy is recognised by what it says of itself and by where it comes from. A hit of theirs
 * is flagged, never dropped: both counts are shown. A row of each table is one such word or network.
 */
#ifndef SEKISHO_AGENTS_H
#define SEKISHO_AGENTS_H

#include "config/net.h"

/* Scanners, fetchers, libraries, or nothing at all. */
bool agents_is_machine(struct str user_agent);
bool agents_is_machine_network(const struct net_addr *client);

#endif
