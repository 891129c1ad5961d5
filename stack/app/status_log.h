/* The state of the network as lines of the log, for SIGUSR1. */
#ifndef LWNAT_APP_STATUS_LOG_H
#define LWNAT_APP_STATUS_LOG_H

#include "stack/app/network.h"

void status_log(const struct network *net);

#endif
