#include "stack/app/boot_tftp.h"

#include "stack/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define LOG_BURST 20 /* lines of info in LOG_MS: guests can ask as often as they like */
#define LOG_MS 10000

struct boot_tftp {
	struct boot_tftp_config config;
	struct tftpd *server;
	uv_timer_t timer; /* runs only while there are transfers */
	struct log_limit log;
};

/* ---- files ---- */

static int on_open(void *ctx, const char *name, int *ret_file, uint64_t *ret_size)
{
	const struct boot_tftp *t = ctx;
	struct host_file file;
	int err = host_files_open(t->config.files, name, &file);

	if (err < 0)
		return err;
	*ret_file = file.fd;
	*ret_size = file.size;
	return 0;
}

static long on_read(void *ctx, int file, uint64_t offset, uint8_t *bytes, size_t len)
{
	(void)ctx;
	return host_files_read(file, offset, bytes, len);
}

static void on_close(void *ctx, int file)
{
	(void)ctx;
	close(file);
}

/* ---- packets ---- */

static void on_send(void *ctx, const struct tftpd_peer *peer, const uint8_t *bytes, size_t len)
{
	const struct boot_tftp *t = ctx;
	struct nat_udp_reply reply = {.port = t->config.port_by_id(t->config.ctx, peer->guest),
				      .to_mac = peer->mac,
				      .from = peer->server,
				      .to = peer->client};

	if (reply.port)
		nat_udp_send(t->config.nat, &reply, bytes, len);
}

static void on_timer(uv_timer_t *timer);

/* Acknowledgements only put off what is due: an armed timer that comes early arms itself anew. */
static void arm_timer(struct boot_tftp *t)
{
	uint64_t in_ms;

	if (uv_is_active((uv_handle_t *)&t->timer))
		return;
	in_ms = tftpd_next_ms(t->server, uv_now(t->config.loop));
	if (in_ms != UINT64_MAX)
		uv_timer_start(&t->timer, on_timer, in_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct boot_tftp *t = timer->data;

	tftpd_tick(t->server, uv_now(t->config.loop));
	arm_timer(t);
}

static struct tftpd_peer peer_of(const struct nat_udp_meta *meta)
{
	return (struct tftpd_peer){.guest = meta->port->id,
				   .mac = meta->guest_mac,
				   .client = meta->guest,
				   .server = meta->service};
}

/* RFC 1123 section 4.2.3.5: what is broadcast is not answered. */
static bool is_for_us(const struct boot_tftp *t, const struct addr *to)
{
	return !addr_is_multicast(to) && !addr_is_broadcast(to) && !addr_eq(to, &t->config.dns4) &&
	       !addr_eq(to, &t->config.dns6);
}

static void on_datagram(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload,
			size_t len)
{
	struct boot_tftp *t = ctx;
	struct tftpd_peer peer = peer_of(meta);

	if (!is_for_us(t, &meta->service.addr) || addr_is_unspecified(&meta->guest.addr) ||
	    meta->guest.port == 0)
		return;
	tftpd_input(t->server, &peer, payload, len, uv_now(t->config.loop));
	arm_timer(t);
}

static bool on_claim(void *ctx, const struct nat_udp_meta *meta)
{
	const struct boot_tftp *t = ctx;
	struct tftpd_peer peer = peer_of(meta);

	return tftpd_claims(t->server, &peer);
}

static void on_event(void *ctx, const struct tftpd_event *event)
{
	struct boot_tftp *t = ctx;
	char client[ENDPOINT_TEXT_MAX];
	bool is_news = event->kind == TFTPD_STARTED || event->kind == TFTPD_REFUSED;

	endpoint_format(&event->peer->client, client);
	if (!is_news || !log_limit_ok(&t->log, uv_now(t->config.loop), LOG_BURST, LOG_MS))
		log_debug("tftp: %s: %s, %" PRIu64 " bytes", client,
			  event->reason ? event->reason
			  : event->name ? "begins"
					: "done",
			  event->bytes);
	else if (event->kind == TFTPD_STARTED)
		log_info("tftp: %s reads '%.200s' (%" PRIu64 " bytes)", client, event->name,
			 event->bytes);
	else
		log_info("tftp: %s is refused '%.200s': %s", client, event->name ? event->name : "",
			 event->reason);
}

/* ---- life ---- */

int boot_tftp_new(struct boot_tftp **ret, const struct boot_tftp_config *config)
{
	struct boot_tftp *t = calloc(1, sizeof(*t));
	struct tftpd_config server = {.mtu = config->mtu,
				      .transfers_max = BOOT_TFTP_TRANSFERS_MAX,
				      .rng = config->rng,
				      .files = {on_open, on_read, on_close},
				      .send = on_send,
				      .event = on_event,
				      .ctx = t};
	int err;

	if (!t)
		return -ENOMEM;
	t->config = *config;
	err = tftpd_new(&t->server, &server);
	if (err < 0) {
		free(t);
		return err;
	}
	uv_timer_init(config->loop, &t->timer);
	t->timer.data = t;
	err = nat_udp_service_add(config->nat, TFTPD_PORT, false, on_datagram, t);
	if (err == 0)
		err = nat_udp_service_add_claiming(config->nat, on_claim, on_datagram, t);
	if (err < 0)
		boot_tftp_close(t);
	else
		*ret = t;
	return err;
}

void boot_tftp_port_gone(struct boot_tftp *tftp, const struct port *port)
{
	if (tftp)
		tftpd_guest_gone(tftp->server, port->id);
}

const struct tftpd *boot_tftp_server(const struct boot_tftp *tftp)
{
	return tftp->server;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void boot_tftp_close(struct boot_tftp *tftp)
{
	if (!tftp)
		return;
	tftpd_free(tftp->server);
	uv_close((uv_handle_t *)&tftp->timer, on_closed);
}
