/* libpcap's dump writer into memory: whole records, in a buffer that does not grow. */
#ifndef LWNAT_APP_PCAPBUF_H
#define LWNAT_APP_PCAPBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PCAPBUF_HEADER_LEN 24 /* bytes in front of a file (draft-ietf-opsawg-pcap section 4) */
#define PCAPBUF_RECORD_LEN 16 /* bytes in front of each frame (section 5) */

struct pcapbuf;

/* Of 'room' bytes, at least a header and one record; holds the header already. 0 or -ENOMEM. */
int pcapbuf_new(struct pcapbuf **ret, uint32_t snaplen, size_t room);
void pcapbuf_free(struct pcapbuf *buf); /* NULL is fine */

/* One record: 'caplen' bytes of a frame of 'len'. false, and nothing done: no room. */
bool pcapbuf_add(struct pcapbuf *buf, const struct timespec *when, const uint8_t *bytes,
		 size_t caplen, size_t len);
/* Forgets what is there and begins anew with a header. 0 or -ENOMEM. */
int pcapbuf_restart(struct pcapbuf *buf);

/* What is there; valid until the next call. */
const uint8_t *pcapbuf_bytes(const struct pcapbuf *buf, size_t *ret_len);
void pcapbuf_take(struct pcapbuf *buf, size_t len); /* its first bytes have been used */

#endif
