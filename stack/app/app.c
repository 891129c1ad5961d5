#include "stack/app/app.h"

#include "stack/app/announce.h"
#include "stack/app/forwards.h"
#include "stack/app/ready.h"
#include "stack/app/runtime_dir.h"
#include "stack/app/services.h"
#include "stack/base/log.h"
#include "stack/base/rng.h"
#include "stack/host/host.h"
#include "stack/link/lan.h"
#include "stack/link/stream_uv.h"
#include "stack/nat/nat.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define PORTS_MAX 256      /* guests' NICs attached at once */
#define MACS_MAX 4096      /* learnt by the switch */
#define MAC_AGE_MS 300000  /* IEEE 802.1Q section 8.8.3: the recommended ageing time */
#define OWN_FDS 256        /* descriptors for all but ports, forwards and flows */
#define NOFILE_MAX 1048576 /* more is not counted on: tables grow with it */

static const int end_signals[] = {SIGINT, SIGTERM, SIGHUP};
#define END_SIGNALS (sizeof(end_signals) / sizeof(end_signals[0]))

struct app {
	const struct options *options;
	uv_loop_t loop;
	uv_timer_t timer; /* the NAT's; runs only while it has something pending */
	uv_signal_t signals[END_SIGNALS];
	uint64_t timer_due_ms; /* UINT64_MAX: not armed */
	struct rng rng;
	struct mac mac; /* the gateway's */
	struct lan *lan;
	struct host *host;
	struct nat *nat;
	struct services *services;
	struct stream_uv *stream;
	struct forwards *forwards;
	unsigned ports_n;
	bool ends_with_last_port;
	char socket_path[OPTIONS_PATH_MAX]; /* empty: nothing is listened on */
};

/* ---- the loop's turn ---- */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct app *a)
{
	uint64_t now_ms = uv_now(&a->loop), in_ms = nat_next_ms(a->nat, now_ms);
	uint64_t due_ms = in_ms == UINT64_MAX ? UINT64_MAX : now_ms + in_ms;

	if (due_ms == a->timer_due_ms)
		return;
	a->timer_due_ms = due_ms;
	if (due_ms == UINT64_MAX)
		uv_timer_stop(&a->timer);
	else
		uv_timer_start(&a->timer, on_timer, in_ms, 0);
}

/* What the events since the last turn asked for. Frames stay queued until lan_flush(). */
static void work(struct app *a)
{
	uv_update_time(&a->loop);
	nat_run(a->nat, uv_now(&a->loop));
	arm_timer(a);
}

static void turn(void *ctx)
{
	struct app *a = ctx;

	work(a);
	lan_flush(a->lan);
}

static void on_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;

	a->timer_due_ms = UINT64_MAX;
	nat_tick(a->nat, uv_now(&a->loop));
	turn(a);
}

static void on_end_signal(uv_signal_t *signal, int number)
{
	log_debug("ending: signal %d", number);
	uv_stop(signal->loop);
}

/* ---- what the parts tell each other ---- */

static void on_frame(void *ctx, struct port *from, const struct frame *frame)
{
	struct app *a = ctx;

	nat_set_time(a->nat, uv_now(&a->loop));
	nat_input(a->nat, from, frame);
}

static void on_attached(void *ctx, struct port *port)
{
	struct app *a = ctx;

	a->ports_n++;
	if (nat_port_add(a->nat, port) < 0)
		log_warn("%s: no memory for its flows", port->name);
	services_port_add(a->services, port);
}

static void on_gone(void *ctx, struct port *port)
{
	struct app *a = ctx;

	a->ports_n--;
	services_port_remove(a->services, port);
	nat_port_remove(a->nat, port);
	turn(a);
	if (a->ends_with_last_port && a->ports_n == 0)
		uv_stop(&a->loop);
}

/* The transport flushes when it has passed on the batch. */
static void on_batch_end(void *ctx)
{
	work(ctx);
}

static void on_writable(void *ctx, struct port *port)
{
	nat_port_writable(((struct app *)ctx)->nat, port);
}

static void on_host_event(void *ctx, uint64_t token, unsigned events)
{
	struct app *a = ctx;

	nat_set_time(a->nat, uv_now(&a->loop));
	nat_host_event(a->nat, token, events);
}

static int on_service(void *ctx, unsigned service, int fd, const struct endpoint *guest)
{
	return services_accept(((struct app *)ctx)->services, service, fd, guest);
}

/* ---- building ---- */

/* 52:55 and the address, as libslirp does: the same after a restart, so that guests' ARP caches
 * stay right. */
static struct mac gateway_mac(const struct addr *host)
{
	uint32_t v4 = addr_to_v4(host);

	return (struct mac){{0x52, 0x55, (uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16),
			     (uint8_t)(v4 >> 8), (uint8_t)v4}};
}

/* Each flow holds a descriptor: takes as many as the hard limit gives, and returns how many. */
static uint64_t raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return OWN_FDS + PORTS_MAX;
	if (limit.rlim_cur < limit.rlim_max) {
		rlim_t before = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			limit.rlim_cur = before;
	}
	return limit.rlim_cur < NOFILE_MAX ? limit.rlim_cur : NOFILE_MAX;
}

static unsigned listeners_n(const struct options_forwards *forwards)
{
	unsigned n = 0;

	for (unsigned i = 0; i < forwards->n; i++)
		n += forwards->rule[i].ports_n * (forwards->rule[i].host_addr_given ? 1u : 2u);
	return n;
}

static uint64_t fds_for_flows(const struct options *o)
{
	uint64_t fds = raise_nofile(), own = OWN_FDS + PORTS_MAX + listeners_n(&o->hostfwd);

	/* With a limit this low the parts share what there is: new flows are refused by the
	 * kernel then, before they are by us. */
	return fds > 2 * own ? fds - own : fds / 2;
}

static int build_nat(struct app *a)
{
	const struct options *o = a->options;
	struct nat_config config = {
	    .ipv4 = o->ipv4,
	    .ipv6 = o->ipv6,
	    .mac = a->mac,
	    .net4 = o->net,
	    .host4 = o->host,
	    .mtu = o->mtu,
	    .restrict_guests = o->restrict_guests,
	    .host_loopback = !o->no_host_loopback,
	    .limits = nat_limits_default(fds_for_flows(o)),
	    .host = host_ops(),
	    .host_ctx = a->host,
	    .rng = &a->rng,
	};

	/* An address outside is not the gateway's to answer for. */
	config.dns4 = o->dns_is_ours ? o->dns : o->host;
	return nat_new(&a->nat, &config);
}

static int build_parts(struct app *a)
{
	struct lan_config lan = {.gateway_mac = a->mac,
				 .ports_max = PORTS_MAX,
				 .macs_max = MACS_MAX,
				 .mac_age_ms = MAC_AGE_MS,
				 .gateway_input = on_frame,
				 .ctx = a};
	struct host_config host = {
	    .event = on_host_event, .turn_end = turn, .service = on_service, .ctx = a};
	struct services_config services = {
	    .options = a->options, .loop = &a->loop, .rng = &a->rng, .ports_max = PORTS_MAX};
	struct stream_uv_events stream = {.attached = on_attached,
					  .gone = on_gone,
					  .batch_end = on_batch_end,
					  .writable = on_writable,
					  .ctx = a};
	int result;

	result = rng_init(&a->rng);
	if (result == 0)
		result = lan_new(&a->lan, &lan);
	if (result == 0)
		result = host_new(&a->host, &a->loop, &host);
	if (result == 0)
		result = build_nat(a);
	services.nat = a->nat;
	if (result == 0)
		result = services_new(&a->services, &services);
	if (result == 0)
		result = stream_uv_new(&a->stream, &a->loop, a->lan, &stream);
	if (result < 0)
		log_err_errno(result, "cannot start");
	return result;
}

/* ---- opening ---- */

static int find_socket_path(struct app *a)
{
	struct runtime_place place = {.xdg = getenv("XDG_RUNTIME_DIR"), .tmp = "/tmp"};
	char file[sizeof(a->options->name) + sizeof(".sock")], error[RUNTIME_ERROR_MAX];
	int result;

	if (a->options->socket[0]) {
		memcpy(a->socket_path, a->options->socket, sizeof(a->socket_path));
		return 0;
	}
	if (a->options->fd.n > 0)
		return 0;
	snprintf(file, sizeof(file), "%s.sock", a->options->name);
	result = runtime_socket_path(&place, file, a->socket_path, sizeof(a->socket_path), error);
	if (result < 0)
		log_err("%s", error);
	return result;
}

static int listen_for_guests(struct app *a)
{
	int result = stream_uv_listen(a->stream, a->socket_path);

	if (result == -EADDRINUSE)
		log_err("--socket: '%s': another lwnat listens there (accepted: another path, or "
			"another --name)",
			a->socket_path);
	else if (result == -EEXIST)
		log_err("--socket: '%s': is there already and no socket (accepted: a path that is "
			"free)",
			a->socket_path);
	else if (result < 0)
		log_err_errno(result, "--socket: '%s'", a->socket_path);
	return result;
}

static int adopt_guests(struct app *a)
{
	const struct options_fds *fds = &a->options->fd;

	for (unsigned i = 0; i < fds->n; i++) {
		int result = stream_uv_adopt(a->stream, fds->fd[i]);

		if (result == -EBADF)
			log_err("--fd: '%d': is not open", fds->fd[i]);
		else if (result == -ENOTSOCK)
			log_err("--fd: '%d': is no connected stream socket", fds->fd[i]);
		else if (result < 0)
			log_err_errno(result, "--fd: '%d'", fds->fd[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

/* QEMU is asked for its version and must not inherit a guest's connection. */
static int keep_fds_to_ourselves(const struct options *o)
{
	for (unsigned i = 0; i < o->fd.n; i++)
		(void)fcntl(o->fd.fd[i], F_SETFD, FD_CLOEXEC);
	if (o->ready_fd >= 0 && fcntl(o->ready_fd, F_SETFD, FD_CLOEXEC) < 0) {
		log_err("--ready-fd: '%d': is not open", o->ready_fd);
		return -EBADF;
	}
	return 0;
}

static int open_ways_in(struct app *a)
{
	char error[FORWARDS_ERROR_MAX];
	int result;

	result = find_socket_path(a);
	if (result < 0)
		return result;
	result = forwards_open(&a->forwards, &a->options->hostfwd, a->host, a->nat, error);
	if (result < 0) {
		log_err("%s", error);
		return result;
	}
	if (a->socket_path[0])
		result = listen_for_guests(a);
	else
		a->ends_with_last_port = true;
	return result < 0 ? result : adopt_guests(a);
}

static bool ping_is_forbidden(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	int err = errno;

	if (fd >= 0)
		close(fd);
	return fd < 0 && (err == EACCES || err == EPERM);
}

/* ---- life ---- */

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int init_loop(struct app *a)
{
	int result = uv_loop_init(&a->loop);

	if (result < 0)
		return result;
	a->timer_due_ms = UINT64_MAX;
	a->timer.data = a;
	uv_timer_init(&a->loop, &a->timer);
	for (size_t i = 0; i < END_SIGNALS; i++) {
		uv_signal_init(&a->loop, &a->signals[i]);
		if (end_signals[i] != SIGTERM && is_ignored(end_signals[i]))
			continue; /* nohup, or a shell's background job */
		uv_signal_start(&a->signals[i], on_end_signal, end_signals[i]);
	}
	return 0;
}

static void take_down(struct app *a)
{
	stream_uv_close(a->stream);
	forwards_close(a->forwards);
	services_close(a->services);
	nat_free(a->nat);
	host_close(a->host);
	uv_close((uv_handle_t *)&a->timer, NULL);
	for (size_t i = 0; i < END_SIGNALS; i++)
		uv_close((uv_handle_t *)&a->signals[i], NULL);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	lan_free(a->lan);
	uv_loop_close(&a->loop);
}

int app_run(const struct options *options)
{
	struct announcement announcement = {.options = options};
	struct app *a;
	int result;

	log_set_level(options->log_level);
	result = keep_fds_to_ourselves(options);
	if (result < 0)
		return result;
	a = calloc(1, sizeof(*a));
	if (!a || init_loop(a) < 0) {
		log_err("cannot start: out of memory or descriptors");
		free(a);
		return -ENOMEM;
	}
	a->options = options;
	a->mac = gateway_mac(&options->host);
	result = build_parts(a);
	if (result == 0)
		result = open_ways_in(a);
	if (result == 0) {
		announcement.socket_path = a->socket_path[0] ? a->socket_path : NULL;
		announcement.ping_forbidden = ping_is_forbidden();
		if (announcement.socket_path)
			announcement.qemu = qemu_version_find();
		announce(stdout, &announcement);
		ready_tell(options->ready_fd);
		uv_run(&a->loop, UV_RUN_DEFAULT);
	}
	take_down(a);
	free(a);
	return result;
}
