#include "tftp/tftpd.h"

#include "tftp/tftpd_msg.h"
#include "tftp/tftpd_source.h"

#include <errno.h>
#include <stdlib.h>

#define IP4_UDP_HEADERS 28 /* bytes */
#define IP6_UDP_HEADERS 48
#define MTU_MIN 576 /* an OACK with all options fits */
#define WINDOW_BLOCKS_MAX 64
#define WINDOW_BYTES_MAX (128u << 10) /* what a guest's queue takes in one go */
#define TID_FIRST 49152               /* RFC 6335: the dynamic ports */
#define TID_TRIES 16
#define TIMEOUT_MS 1000 /* until the first repetition, unless the guest names it */
#define BACKOFF_MS_MAX 16000
#define SENDS_MAX 6   /* of the same packet */
#define IDLE_MS 60000 /* without progress, however often something was sent */
#define NO_BLOCK UINT64_MAX

struct transfer {
	struct tftpd_peer peer;
	struct tftpd_source source;
	struct tftpd_options options; /* what the OACK says */
	uint32_t blksize, windowsize, timeout_ms;
	bool oack_unanswered; /* nothing but the OACK is sent, until block 0 is acknowledged */
	/* The last acknowledgement led to sending once more already: another of the same block must
	 * not (the "sorcerer's apprentice", RFC 1123 section 4.2.3.1). */
	bool rewound;
	unsigned sends;       /* of what is unacknowledged now */
	uint64_t acked, sent; /* block numbers, counted on beyond 65535 */
	uint64_t recover;     /* blocks up to here go out again because of a gap */
	uint64_t highest;     /* ever sent */
	uint64_t last;        /* the short block that ends the file; NO_BLOCK: not read yet */
	struct tftpd_place at_acked, at_sent;
	uint64_t due_ms, progress_ms;
	uint64_t request_hash; /* of the request, to know it again */
};

struct tftpd {
	struct tftpd_config config;
	struct siphash_key key;
	struct tftpd_counters counters;
	struct transfer *transfers; /* 'transfers_n' of them run */
	unsigned transfers_n;
	uint8_t *packet; /* as long as the longest */
	size_t packet_len;
};

/* ---- ends ------------------------------------------------------------------------------------ */

static void tell(const struct tftpd *d, const struct tftpd_event *event)
{
	if (d->config.event)
		d->config.event(d->config.ctx, event);
}

/* The last transfer moves to the place of this one. */
static void end(struct tftpd *d, struct transfer *t)
{
	d->config.files.close(d->config.ctx, t->source.file);
	*t = d->transfers[--d->transfers_n];
}

static void finish(struct tftpd *d, struct transfer *t)
{
	struct tftpd_event event = {
	    .kind = TFTPD_FINISHED, .peer = &t->peer, .bytes = t->at_sent.offset};

	d->counters.finished++;
	tell(d, &event);
	end(d, t);
}

static void give_up(struct tftpd *d, struct transfer *t, const char *reason)
{
	struct tftpd_event event = {.kind = TFTPD_GIVEN_UP, .peer = &t->peer, .reason = reason};

	d->counters.given_up++;
	tell(d, &event);
	end(d, t);
}

static void send_error(struct tftpd *d, const struct tftpd_peer *peer, enum tftpd_error error,
		       const char *text)
{
	struct wire_out out = wire_out(d->packet, d->packet_len);

	tftpd_write_error(&out, error, text);
	if (!out.bad)
		d->config.send(d->config.ctx, peer, out.start, wire_len(&out));
}

/* The file went bad under the transfer. */
static void fail(struct tftpd *d, struct transfer *t)
{
	static const char text[] = "the file cannot be read";
	struct tftpd_peer peer = t->peer;

	give_up(d, t, text);
	send_error(d, &peer, TFTPD_UNDEFINED, text);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void send_oack(struct tftpd *d, const struct transfer *t)
{
	struct wire_out out = wire_out(d->packet, d->packet_len);

	tftpd_write_oack(&out, &t->options);
	d->config.send(d->config.ctx, &t->peer, out.start, wire_len(&out));
}

/* The next block: 0, or a negative errno when the file cannot be read. */
static int send_block(struct tftpd *d, struct transfer *t)
{
	struct wire_out out = wire_out(d->packet, d->packet_len);
	uint64_t before = t->at_sent.offset;
	long len;

	wire_put_u16(&out, TFTPD_DATA);
	wire_put_u16(&out, (uint16_t)(t->sent + 1)); /* rolls over to 0 */
	len = tftpd_source_read(&t->source, &t->at_sent, out.at, t->blksize);
	if (len < 0)
		return (int)len;
	t->sent++;
	t->last = (uint32_t)len < t->blksize ? t->sent : NO_BLOCK;
	if (t->sent > t->highest) {
		t->highest = t->sent;
		d->counters.bytes += t->at_sent.offset - before;
	} else {
		d->counters.resent++;
	}
	d->config.send(d->config.ctx, &t->peer, out.start, TFTPD_HEADER_LEN + (size_t)len);
	return 0;
}

/* As much as the window has room for. */
static int fill_window(struct tftpd *d, struct transfer *t)
{
	int err = 0;

	while (err == 0 && t->sent - t->acked < t->windowsize && t->last == NO_BLOCK)
		err = send_block(d, t);
	return err;
}

static void rewind_window(struct transfer *t)
{
	t->sent = t->acked;
	t->at_sent = t->at_acked;
	t->last = NO_BLOCK;
}

static uint64_t interval_ms(const struct transfer *t)
{
	uint64_t max_ms = t->timeout_ms > BACKOFF_MS_MAX ? t->timeout_ms : BACKOFF_MS_MAX;
	uint64_t ms = (uint64_t)t->timeout_ms << (t->sends - 1);

	return ms < max_ms ? ms : max_ms;
}

/* Sends what is due. May end the transfer. */
static void transmit(struct tftpd *d, struct transfer *t, uint64_t now_ms)
{
	int err = 0;

	t->sends++;
	t->due_ms = now_ms + interval_ms(t);
	if (!t->oack_unanswered)
		err = fill_window(d, t);
	else
		send_oack(d, t);
	if (err < 0)
		fail(d, t);
}

/* All that is unacknowledged, once more. May end the transfer. */
static void transmit_again(struct tftpd *d, struct transfer *t, uint64_t now_ms)
{
	t->recover = t->sent;
	rewind_window(t);
	d->counters.resent += t->oack_unanswered;
	transmit(d, t, now_ms);
}

/* ---- requests -------------------------------------------------------------------------------- */

static uint32_t blksize_max(const struct tftpd *d, const struct addr *client)
{
	uint32_t headers = addr_is_v4(client) ? IP4_UDP_HEADERS : IP6_UDP_HEADERS;
	uint32_t max = d->config.mtu - headers - TFTPD_HEADER_LEN;

	return max < TFTPD_BLKSIZE_MAX ? max : TFTPD_BLKSIZE_MAX;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void settle_options(const struct tftpd *d, struct transfer *t,
			   const struct tftpd_request *request, uint64_t size)
{
	struct tftpd_options *o = &t->options;
	uint32_t max = blksize_max(d, &t->peer.client.addr);

	o->blksize = smaller(request->blksize, max);
	t->blksize = o->blksize ? o->blksize : smaller(TFTPD_BLKSIZE, max);
	o->windowsize = smaller(request->windowsize, WINDOW_BLOCKS_MAX);
	if (o->windowsize > 1 && o->windowsize * t->blksize > WINDOW_BYTES_MAX)
		o->windowsize = WINDOW_BYTES_MAX / t->blksize;
	t->windowsize = o->windowsize ? o->windowsize : 1;
	o->timeout_s = request->timeout_s;
	t->timeout_ms = o->timeout_s ? o->timeout_s * 1000 : TIMEOUT_MS;
	/* How long a file is in netascii is known only when it has been read. */
	o->has_tsize = request->tsize && request->mode == TFTPD_OCTET;
	o->tsize = size;
	t->oack_unanswered = tftpd_options_any(o);
}

static bool is_same_peer(const struct tftpd_peer *a, const struct tftpd_peer *b)
{
	return a->guest == b->guest && endpoint_eq(&a->client, &b->client);
}

static struct transfer *find_by_client(struct tftpd *d, const struct tftpd_peer *peer)
{
	for (unsigned i = 0; i < d->transfers_n; i++) {
		if (is_same_peer(&d->transfers[i].peer, peer))
			return &d->transfers[i];
	}
	return NULL;
}

static bool tid_is_taken(const struct tftpd *d, uint16_t port)
{
	for (unsigned i = 0; i < d->transfers_n; i++) {
		if (d->transfers[i].peer.server.port == port)
			return true;
	}
	return false;
}

/* RFC 1350 section 4: the TID is chosen at random. A refusal, too, comes from a port of its own. */
static uint16_t choose_tid(const struct tftpd *d)
{
	uint16_t port = 0;

	for (unsigned i = 0; i < TID_TRIES; i++) {
		port = (uint16_t)(TID_FIRST + rng_below(d->config.rng, 65536 - TID_FIRST));
		if (!tid_is_taken(d, port))
			break;
	}
	return port;
}

struct refusal {
	enum tftpd_error error;
	const char *text;
};

static void refuse(struct tftpd *d, const struct tftpd_peer *peer, const char *name,
		   const struct refusal *why)
{
	struct tftpd_event event = {
	    .kind = TFTPD_REFUSED, .peer = peer, .name = name, .reason = why->text};

	d->counters.refused++;
	tell(d, &event);
	send_error(d, peer, why->error, why->text);
}

static unsigned transfers_of(const struct tftpd *d, uint32_t guest)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->transfers_n; i++)
		n += d->transfers[i].peer.guest == guest;
	return n;
}

static struct refusal refusal_of(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -ENAMETOOLONG:
		return (struct refusal){TFTPD_NOT_FOUND, "file not found"};
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return (struct refusal){TFTPD_UNDEFINED, "no resources left, try again"};
	default:
		return (struct refusal){TFTPD_ACCESS_VIOLATION, "access denied"};
	}
}

/* Opens the file; false when it is refused instead, with the reason. */
static bool open_file(struct tftpd *d, const struct tftpd_request *request, struct transfer *t,
		      struct refusal *ret_why)
{
	uint64_t size;
	int err;

	if (request->mode == TFTPD_MODE_UNKNOWN) {
		*ret_why = (struct refusal){TFTPD_ILLEGAL_OPERATION,
					    "modes served are octet and netascii"};
		return false;
	}
	if (transfers_of(d, t->peer.guest) >= TFTPD_TRANSFERS_PER_GUEST_MAX ||
	    d->transfers_n == d->config.transfers_max) {
		*ret_why = (struct refusal){TFTPD_UNDEFINED, "too many transfers, try again"};
		return false;
	}
	err = d->config.files.open(d->config.ctx, request->name, &t->source.file, &size);
	if (err < 0) {
		*ret_why = refusal_of(err);
		return false;
	}
	t->source.netascii = request->mode == TFTPD_NETASCII;
	settle_options(d, t, request, size);
	return true;
}

static void start(struct tftpd *d, const struct tftpd_request *request, struct transfer *new,
		  uint64_t now_ms)
{
	struct tftpd_event event = {
	    .kind = TFTPD_STARTED, .peer = &new->peer, .name = request->name};
	struct refusal why;

	new->source = (struct tftpd_source){.files = &d->config.files, .ctx = d->config.ctx};
	new->last = NO_BLOCK;
	new->progress_ms = now_ms;
	if (!open_file(d, request, new, &why)) {
		refuse(d, &new->peer, request->name, &why);
		return;
	}
	d->transfers[d->transfers_n++] = *new;
	d->counters.started++;
	event.bytes = new->options.tsize;
	tell(d, &event);
	transmit(d, &d->transfers[d->transfers_n - 1], now_ms);
}

/* RFC 1350 section 2: a request may come again, because the answer to it was lost. One whose
 * transfer is under way from the same port begins another. */
static bool is_repeated(struct tftpd *d, const struct transfer *new, uint64_t now_ms)
{
	struct transfer *t = find_by_client(d, &new->peer);

	if (!t)
		return false;
	if (t->request_hash != new->request_hash || t->acked > 0 ||
	    tftpd_options_any(&t->options) != t->oack_unanswered) {
		give_up(d, t, "another request came from its port");
		return false;
	}
	if (t->sends < SENDS_MAX) {
		transmit_again(d, t, now_ms);
	}
	return true;
}

static void input_request(struct tftpd *d, const struct tftpd_peer *peer, struct wire_in in,
			  uint64_t now_ms)
{
	struct transfer new = {.peer = *peer,
			       .request_hash = siphash(&d->key, in.at, wire_left(&in))};
	uint16_t opcode = wire_get_u16(&in);
	struct refusal why = {TFTPD_ILLEGAL_OPERATION, "no request"};
	struct tftpd_request request;

	if (in.bad || opcode == TFTPD_ERROR) { /* an error is never answered by another */
		d->counters.ignored++;
		return;
	}
	new.peer.server.port = choose_tid(d);
	if (opcode == TFTPD_WRQ) {
		why = (struct refusal){TFTPD_ACCESS_VIOLATION, "files can only be read here"};
		refuse(d, &new.peer, NULL, &why);
	} else if (opcode != TFTPD_RRQ || !tftpd_request_read(&request, &in)) {
		refuse(d, &new.peer, NULL, &why);
	} else if (!is_repeated(d, &new, now_ms)) {
		start(d, &request, &new, now_ms);
	}
}

/* ---- transfers ------------------------------------------------------------------------------- */

/* The place after 'blocks' more blocks are acknowledged. 0 or a negative errno. */
static int advance(struct tftpd *d, struct transfer *t, uint64_t blocks)
{
	uint64_t left = blocks;

	if (t->acked + blocks == t->sent) {
		t->at_acked = t->at_sent;
		left = 0;
	} else if (!t->source.netascii) {
		t->at_acked.offset += blocks * t->blksize;
		left = 0;
	}
	for (; left > 0; left--) {
		long len = tftpd_source_read(&t->source, &t->at_acked, d->packet, t->blksize);
		if (len < 0)
			return (int)len;
	}
	t->acked += blocks;
	return 0;
}

static void progress(struct transfer *t, uint64_t now_ms)
{
	t->sends = 0;
	t->progress_ms = now_ms;
}

static void input_ack(struct tftpd *d, struct transfer *t, uint16_t block, uint64_t now_ms)
{
	uint64_t outstanding = t->sent - t->acked;
	uint16_t ahead = (uint16_t)(block - (uint16_t)t->acked);

	if (ahead > outstanding || (t->oack_unanswered && block != 0)) {
		d->counters.ignored++;
		return;
	}
	if (t->oack_unanswered) {
		t->oack_unanswered = false;
	} else if (ahead == 0) {
		/* RFC 7440 section 4: the guest misses the first block of the window. */
		if (t->windowsize == 1 || t->rewound) {
			d->counters.ignored++;
			return;
		}
		t->rewound = true;
		transmit_again(d, t, now_ms);
		return;
	}
	progress(t, now_ms);
	t->rewound = ahead < outstanding;
	if (advance(d, t, ahead) < 0)
		fail(d, t);
	else if (t->acked == t->last)
		finish(d, t);
	/* One who acknowledges every block must not get every window for each of them. */
	else if (ahead < outstanding && t->acked >= t->recover)
		transmit_again(d, t, now_ms);
	else
		transmit(d, t, now_ms);
}

static bool is_of_guest(const struct transfer *t, const struct tftpd_peer *peer)
{
	return t->peer.guest == peer->guest && endpoint_eq(&t->peer.server, &peer->server) &&
	       addr_eq(&t->peer.client.addr, &peer->client.addr);
}

static void input_transfer(struct tftpd *d, const struct tftpd_peer *peer, struct wire_in in,
			   uint64_t now_ms)
{
	uint16_t opcode = wire_get_u16(&in), value = wire_get_u16(&in);
	struct transfer *t = NULL;

	for (unsigned i = 0; i < d->transfers_n && !t; i++) {
		if (is_of_guest(&d->transfers[i], peer))
			t = &d->transfers[i];
	}
	if (!t || in.bad) {
		d->counters.ignored++;
	} else if (t->peer.client.port != peer->client.port) {
		/* RFC 1350 section 4: the sender is told, the transfer goes on. */
		d->counters.ignored++;
		if (opcode != TFTPD_ERROR)
			send_error(d, peer, TFTPD_UNKNOWN_TID, "unknown transfer ID");
	} else if (opcode == TFTPD_ACK) {
		input_ack(d, t, value, now_ms);
	} else if (opcode == TFTPD_ERROR) {
		give_up(d, t, "the guest ended it");
	} else {
		d->counters.ignored++;
	}
}

void tftpd_input(struct tftpd *d, const struct tftpd_peer *peer, const uint8_t *bytes, size_t len,
		 uint64_t now_ms)
{
	if (peer->server.port == TFTPD_PORT)
		input_request(d, peer, wire_in(bytes, len), now_ms);
	else
		input_transfer(d, peer, wire_in(bytes, len), now_ms);
}

bool tftpd_claims(const struct tftpd *d, const struct tftpd_peer *peer)
{
	for (unsigned i = 0; i < d->transfers_n; i++) {
		if (is_of_guest(&d->transfers[i], peer))
			return true;
	}
	return false;
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t idle_ms(const struct transfer *t)
{
	return t->timeout_ms * 2 > IDLE_MS ? t->timeout_ms * 2 : IDLE_MS;
}

static uint64_t next_ms(const struct transfer *t)
{
	uint64_t idle_end_ms = t->progress_ms + idle_ms(t);

	return t->due_ms < idle_end_ms ? t->due_ms : idle_end_ms;
}

uint64_t tftpd_next_ms(const struct tftpd *d, uint64_t now_ms)
{
	uint64_t first_ms = UINT64_MAX;

	for (unsigned i = 0; i < d->transfers_n; i++) {
		uint64_t due_ms = next_ms(&d->transfers[i]);

		if (due_ms < first_ms)
			first_ms = due_ms;
	}
	if (first_ms == UINT64_MAX)
		return UINT64_MAX;
	return first_ms > now_ms ? first_ms - now_ms : 0;
}

void tftpd_tick(struct tftpd *d, uint64_t now_ms)
{
	/* From the end: whatever moves to the place of one that ends has been looked at. */
	for (unsigned i = d->transfers_n; i-- > 0;) {
		struct transfer *t = &d->transfers[i];

		if (now_ms >= t->progress_ms + idle_ms(t) ||
		    (now_ms >= t->due_ms && t->sends >= SENDS_MAX)) {
			give_up(d, t, "the guest does not answer");
		} else if (now_ms >= t->due_ms) {
			transmit_again(d, t, now_ms);
		}
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

int tftpd_new(struct tftpd **ret, const struct tftpd_config *config)
{
	struct tftpd *d;

	if (config->mtu < MTU_MIN || config->transfers_max == 0 || !config->rng || !config->send ||
	    !config->files.open || !config->files.read || !config->files.close)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->config = *config;
	d->key = (struct siphash_key){{rng_u64(config->rng), rng_u64(config->rng)}};
	d->packet_len = config->mtu;
	d->packet = malloc(d->packet_len);
	d->transfers = calloc(config->transfers_max, sizeof(*d->transfers));
	if (!d->packet || !d->transfers) {
		tftpd_free(d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

void tftpd_free(struct tftpd *d)
{
	if (!d)
		return;
	while (d->transfers && d->transfers_n > 0)
		end(d, &d->transfers[d->transfers_n - 1]);
	free(d->transfers);
	free(d->packet);
	free(d);
}

void tftpd_guest_gone(struct tftpd *d, uint32_t guest)
{
	for (unsigned i = d->transfers_n; i-- > 0;) {
		if (d->transfers[i].peer.guest == guest)
			give_up(d, &d->transfers[i], "the guest has gone");
	}
}

unsigned tftpd_transfers(const struct tftpd *d)
{
	return d->transfers_n;
}

const struct tftpd_counters *tftpd_counters(const struct tftpd *d)
{
	return &d->counters;
}
