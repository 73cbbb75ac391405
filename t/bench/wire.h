/*
 * wire - milter packets on a socket, seen from the MTA: a length of four octets, a command, its payload.
 *
 * Bounds   the ceilings of the buffers that are passed; a packet that does not fit is a broken peer
 */
#ifndef SEKISHO_BENCH_WIRE_H
#define SEKISHO_BENCH_WIRE_H

#include "config/base/buf.h"

struct mta_offer;

/* A connected, blocking socket, or -1. `spec` is "unix:/path" or "inet:port@host" (an IPv4 address). */
int wire_connect(struct str spec, struct err *err);
bool wire_negotiate(int fd, struct mta_offer *out, struct err *err);

/* Begins a packet in `out`; wire_end fills in its length. */
size_t wire_begin(struct buf *out, char command);
void wire_end(struct buf *out, size_t at);

/* Writes what fits; false when the peer is gone. What is left stays in `out` behind *at. */
bool wire_flush(int fd, struct buf *out, size_t *at);
/* Reads what is there; false when the peer is gone. */
bool wire_fill(int fd, struct buf *in);
/* Takes one whole packet; false when there is none yet. The payload lives until the next fill. */
bool wire_next(struct buf *in, size_t *at, char *out_command, struct str *out_payload);

#endif
