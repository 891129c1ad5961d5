/* Finishes frames that a guest left unfinished (struct frame_offload) for a port that does not take
 * them so: fills the checksum in, cuts a large segment (virtio 1.2 section 5.1.6.2). Pure. */
#ifndef LWNAT_LINK_OFFLOAD_H
#define LWNAT_LINK_OFFLOAD_H

#include "stack/base/frame.h"
#include "stack/base/port.h"

#include <stdbool.h>

/* True when a port that takes these (enum port_offload) can have the frame as it is. */
bool offload_is_taken(const struct frame_offload *offload, unsigned takes);

/* A finished frame; its first piece is valid during the call only, the others are the original's.
 */
typedef void offload_emit(void *ctx, const struct frame *frame);
/* Passes the frame on in one or more that have no marks. False (nothing passed) when its headers
 * are not what the marks say, or not in its first piece. */
bool offload_finish(const struct frame *frame, offload_emit *emit, void *ctx);

#endif
