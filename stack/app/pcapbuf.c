#include "stack/app/pcapbuf.h"

#include <assert.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pcapbuf {
	pcap_t *pcap;
	pcap_dumper_t *dumper; /* owns a FILE that writes here */
	uint32_t snaplen;
	size_t room, at, len; /* the bytes are those from 'at' on, 'len' of them */
	uint8_t bytes[];
};

/* What libpcap writes: a header, or the two parts of a record. Room has been made. */
static ssize_t on_write(void *ctx, const char *bytes, size_t len)
{
	struct pcapbuf *buf = ctx;

	if (len > buf->room - buf->at - buf->len)
		return 0;
	memcpy(buf->bytes + buf->at + buf->len, bytes, len);
	buf->len += len;
	return (ssize_t)len;
}

static void close_dumper(struct pcapbuf *buf)
{
	if (buf->dumper)
		pcap_dump_close(buf->dumper);
	buf->dumper = NULL;
}

int pcapbuf_restart(struct pcapbuf *buf)
{
	cookie_io_functions_t functions = {.write = on_write};
	FILE *file;

	close_dumper(buf);
	buf->at = buf->len = 0;
	file = fopencookie(buf, "w", functions);
	if (!file)
		return -ENOMEM;
	setvbuf(file, NULL, _IONBF, 0);
	buf->dumper = pcap_dump_fopen(buf->pcap, file);
	if (!buf->dumper) {
		fclose(file);
		return -ENOMEM;
	}
	return 0;
}

int pcapbuf_new(struct pcapbuf **ret, uint32_t snaplen, size_t room)
{
	struct pcapbuf *buf = malloc(sizeof(*buf) + room);

	assert(room >= PCAPBUF_HEADER_LEN + PCAPBUF_RECORD_LEN + snaplen);
	if (!buf)
		return -ENOMEM;
	*buf = (struct pcapbuf){.snaplen = snaplen, .room = room};
	buf->pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, (int)snaplen,
							 PCAP_TSTAMP_PRECISION_NANO);
	if (!buf->pcap || pcapbuf_restart(buf) < 0) {
		pcapbuf_free(buf);
		return -ENOMEM;
	}
	*ret = buf;
	return 0;
}

void pcapbuf_free(struct pcapbuf *buf)
{
	if (!buf)
		return;
	close_dumper(buf);
	if (buf->pcap)
		pcap_close(buf->pcap);
	free(buf);
}

bool pcapbuf_add(struct pcapbuf *buf, const struct timespec *when, const uint8_t *bytes,
		 size_t caplen, size_t len)
{
	struct pcap_pkthdr header = {.caplen = (bpf_u_int32)caplen, .len = (bpf_u_int32)len};
	size_t need = PCAPBUF_RECORD_LEN + caplen;

	assert(caplen <= buf->snaplen && caplen <= len);
	if (!buf->dumper || need > buf->room - buf->len)
		return false;
	if (need > buf->room - buf->len - buf->at) {
		memmove(buf->bytes, buf->bytes + buf->at, buf->len);
		buf->at = 0;
	}
	/* With nanosecond precision that is what tv_usec holds (pcap-savefile(5)). */
	header.ts.tv_sec = when->tv_sec;
	header.ts.tv_usec = when->tv_nsec;
	pcap_dump((u_char *)buf->dumper, &header, bytes);
	return true;
}

const uint8_t *pcapbuf_bytes(const struct pcapbuf *buf, size_t *ret_len)
{
	*ret_len = buf->len;
	return buf->bytes + buf->at;
}

void pcapbuf_take(struct pcapbuf *buf, size_t len)
{
	assert(len <= buf->len);
	buf->len -= len;
	buf->at = buf->len ? buf->at + len : 0;
}
