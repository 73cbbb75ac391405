/*
 * macros - what the MTA has told beside its commands since the start: which macros have come at all, stage by stage.
 *
 * A milter asks for macros and gets those that there are; one that never comes (no login, no queue id) is a setting of the
 * MTA that nobody notices. `sekisho doctor` compares this with what the configuration needs.
 *
 * Threads  any
 */
#ifndef SEKISHO_MACROS_H
#define SEKISHO_MACROS_H

#include "config/base/json.h"
#include "milter/passage.h"

enum macros_stage { MACROS_MAIL, MACROS_DATA, MACROS_EOM, MACROS_STAGES };

void macros_note(enum macros_stage stage, const struct session_macros *macros);
/* {"mail":{"count":N,"seen":["{auth_authen}",...]},"data":...,"eom":...} */
void macros_write(struct json *json);

#endif
