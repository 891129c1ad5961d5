/* Builds one virtual network from the options and runs it until it is told to end. */
#ifndef LWNAT_APP_APP_H
#define LWNAT_APP_APP_H

#include "stack/app/options.h"

/* Returns when a signal asked for the end or the last guest of --fd has gone: 0; or when the
 * network could not be built: a negative errno, logged, with nothing left behind. */
int app_run(const struct options *options);

#endif
