/*
 * listener - the socket that libmilter opens for us and keeps to itself: who may use it, how many at once, how fast it
 * answers, and a knock.
 *
 * There is one. Names are as libmilter writes them: unix:PATH, inet:PORT@HOST, inet6:PORT@HOST.
 *
 * Threads  listener_knock from any, once prepared; the others main
 */
#ifndef SEKISHO_LISTENER_H
#define SEKISHO_LISTENER_H

#include "config/config.h"

/* Before it is opened: milter.listen of the configuration. */
void listener_name(struct str listen);
const char *listener_spec(void);

/* Is its place free, or can be made so? ERR_CONFIG: a file is there that is no socket. */
bool listener_clear(struct err *err);
/* Raises the limit of descriptors for so many sessions, their spools and our own files. How many sessions it really allows. */
int64_t listener_room(int64_t sessions);
/* Once it is open: finds it and gives it its mode and group. ERR_CONFIG: it cannot have them. */
bool listener_prepare(const struct config *config, struct err *err);
/* A connection that is closed at once: who waits for connections looks up. */
void listener_knock(void);
/* Its file, if it has one. */
void listener_remove(void);

#endif
