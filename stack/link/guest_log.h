/* How many lines about guests that come and go are worth reading: a guest can make as many as it
 * likes. */
#ifndef LWNAT_LINK_GUEST_LOG_H
#define LWNAT_LINK_GUEST_LOG_H

#include "stack/base/log.h"

#define GUEST_LOG_BURST 20 /* lines ... */
#define GUEST_LOG_MS 10000 /* ... in this time */

static inline bool guest_log_ok(struct log_limit *limit, uint64_t now_ms)
{
	return log_limit_ok(limit, now_ms, GUEST_LOG_BURST, GUEST_LOG_MS);
}

#endif
