/* Telling whoever started lwnat that guests can connect now. */
#ifndef LWNAT_APP_READY_H
#define LWNAT_APP_READY_H

#include "stack/app/forwards.h"

/* "ready" on standard output and on 'fd' (-1: none), which is closed, and READY=1 to the service
 * manager when $NOTIFY_SOCKET names one (sd_notify(3)). On 'fd' a line "hostfwd RULE" for each
 * forward goes before, with the host port that was picked. */
void ready_tell(int fd, const struct forwards *forwards);

#endif
