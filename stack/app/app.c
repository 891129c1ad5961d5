#include "stack/app/app.h"

#include "stack/app/announce.h"
#include "stack/app/app_build.h"
#include "stack/app/capture.h"
#include "stack/app/control.h"
#include "stack/app/forwards.h"
#include "stack/app/guestfwds.h"
#include "stack/app/guests.h"
#include "stack/app/network.h"
#include "stack/app/notify.h"
#include "stack/app/ready.h"
#include "stack/app/services.h"
#include "stack/app/signals.h"
#include "stack/app/status_log.h"
#include "stack/base/log.h"
#include "stack/host/host_routes.h"
#include "stack/link/lan.h"
#include "stack/link/poller_uv.h"
#include "stack/link/vu_uv.h"
#include "stack/nat/nat.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

struct app {
	struct network net;
	uv_loop_t loop;
	uv_timer_t timer; /* the NAT's; runs only while it has something pending */
	struct signals signals;
	struct notify_watchdog watchdog;
	uint64_t timer_due_ms; /* UINT64_MAX: not armed */
	unsigned ports_n;
	bool ends_with_last_port;
};

/* ---- the loop's turn ---- */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct app *a)
{
	uint64_t now_ms = uv_now(&a->loop), in_ms = nat_next_ms(a->net.nat, now_ms);
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
	nat_run(a->net.nat, uv_now(&a->loop));
	arm_timer(a);
}

static void turn(void *ctx)
{
	struct app *a = ctx;

	work(a);
	lan_flush(a->net.lan);
}

static void on_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;

	a->timer_due_ms = UINT64_MAX;
	nat_tick(a->net.nat, uv_now(&a->loop));
	turn(a);
}

static void on_status(void *ctx)
{
	status_log(&((struct app *)ctx)->net);
}

/* ---- what the parts tell each other ---- */

static void on_frame(void *ctx, struct port *from, const struct frame *frame)
{
	struct app *a = ctx;

	nat_set_time(a->net.nat, uv_now(&a->loop));
	nat_input(a->net.nat, from, frame);
}

static void on_mac_seen(void *ctx, struct port *port, const struct mac *mac, bool clash)
{
	struct app *a = ctx;

	if (clash)
		guests_mac_clash(a->net.guests, port);
	guests_saw_mac(a->net.guests, port, mac);
}

static void on_attached(void *ctx, struct port *port)
{
	struct app *a = ctx;

	notify_guests(++a->ports_n);
	if (nat_port_add(a->net.nat, port) < 0)
		log_warn("%s: no memory for its flows", port->name);
	services_port_add(a->net.services, port);
	guests_port_add(a->net.guests, port, uv_now(&a->loop));
}

static void on_gone(void *ctx, struct port *port)
{
	struct app *a = ctx;

	notify_guests(--a->ports_n);
	guests_port_remove(a->net.guests, port);
	services_port_remove(a->net.services, port);
	nat_port_remove(a->net.nat, port);
	capture_port_gone(a->net.capture, port->id);
	turn(a);
	if (a->ends_with_last_port && a->ports_n == 0)
		poller_uv_stop(&a->loop);
}

/* The transport flushes when it has passed on the batch. */
static void on_batch_end(void *ctx)
{
	work(ctx);
}

static void on_writable(void *ctx, struct port *port)
{
	nat_port_writable(((struct app *)ctx)->net.nat, port);
}

static void on_host_event(void *ctx, uint64_t token, unsigned events)
{
	struct app *a = ctx;

	nat_set_time(a->net.nat, uv_now(&a->loop));
	nat_host_event(a->net.nat, token, events);
}

static int on_service(void *ctx, const struct host_service_request *request, int fd)
{
	struct network *net = &((struct app *)ctx)->net;

	if (guestfwds_has(net->guestfwds, request->service))
		return guestfwds_accept(net->guestfwds, request, fd);
	return services_accept(net->services, request->service, fd, &request->guest);
}

static void on_service_target(void *ctx, unsigned service, struct host_target *ret)
{
	guestfwds_target(((struct app *)ctx)->net.guestfwds, service, ret);
}

static void on_service_closed(void *ctx, uint64_t token)
{
	guestfwds_closed(((struct app *)ctx)->net.guestfwds, token);
}

/* ---- life ---- */

static bool ping_is_forbidden(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	int err = errno;

	if (fd >= 0)
		close(fd);
	return fd < 0 && (err == EACCES || err == EPERM);
}

static int init_loop(struct app *a)
{
	int result = uv_loop_init(&a->loop);

	if (result < 0)
		return result;
	a->timer_due_ms = UINT64_MAX;
	a->timer.data = a;
	uv_timer_init(&a->loop, &a->timer);
	a->signals.status = on_status;
	a->signals.ctx = a;
	signals_init(&a->signals, &a->loop);
	notify_watchdog_init(&a->watchdog, &a->loop);
	return 0;
}

static int build(struct app *a)
{
	struct app_hooks hooks = {
	    .host = {.event = on_host_event,
		     .turn_end = turn,
		     .service = on_service,
		     .service_target = on_service_target,
		     .service_closed = on_service_closed,
		     .ctx = a},
	    .stream = {.attached = on_attached,
		       .gone = on_gone,
		       .batch_end = on_batch_end,
		       .writable = on_writable,
		       .ctx = a},
	    .frame = on_frame,
	    .mac_seen = on_mac_seen,
	    .ctx = a,
	};

	a->net.loop = &a->loop;
	a->net.started_ms = uv_now(&a->loop);
	a->net.started_unix_s = time(NULL);
	a->net.turn = turn;
	a->net.ctx = a;
	return app_build(&a->net, &hooks);
}

static void take_down(struct app *a)
{
	control_close(a->net.control);
	if (a->net.stream) {
		services_leave(a->net.services);
		turn(a);
	}
	stream_uv_close(a->net.stream);
	vu_uv_close(a->net.vhost);
	forwards_close(a->net.forwards);
	services_close(a->net.services);
	nat_free(a->net.nat);
	guestfwds_close(a->net.guestfwds);
	host_close(a->net.host);
	capture_close(a->net.capture);
	uv_close((uv_handle_t *)&a->timer, NULL);
	signals_close(&a->signals);
	notify_watchdog_close(&a->watchdog);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	guestfwds_free(a->net.guestfwds);
	lan_free(a->net.lan);
	guests_free(a->net.guests);
	uv_loop_close(&a->loop);
}

static void tell(const struct network *net)
{
	struct announcement announcement = {.options = net->options,
					    .forwards = net->forwards,
					    .ipv6_stays_here = !host_routes_probe6(),
					    .ping_forbidden = ping_is_forbidden()};

	if (net->socket_path[0]) {
		announcement.socket_path = net->socket_path;
		announcement.qemu = qemu_version_find();
	}
	if (net->vhost_path[0])
		announcement.vhost_path = net->vhost_path;
	announce(stdout, &announcement);
	ready_tell(net->options->ready_fd, net->forwards);
}

static int open_log(const struct options *o)
{
	int result = log_open(o->log_file[0] ? o->log_file : NULL, o->log_json);

	if (result < 0)
		log_err_errno(result, "--log-file: '%s'", o->log_file);
	return result;
}

/* Before anything is opened. */
static int prepare(const struct options *o, struct activation *ret)
{
	char error[ACTIVATION_ERROR_MAX];
	int result;

	log_set_level(o->log_level);
	result = open_log(o);
	if (result < 0)
		return result;
	result = activation_take(ret, error);
	if (result < 0) {
		log_err("%s", error);
		return result;
	}
	return app_keep_fds(o);
}

int app_run(const struct options *options)
{
	struct activation activation;
	struct app *a;
	int result;

	result = prepare(options, &activation);
	if (result < 0)
		return result;
	a = calloc(1, sizeof(*a));
	if (!a || init_loop(a) < 0) {
		log_err("cannot start: out of memory or descriptors");
		free(a);
		return -ENOMEM;
	}
	a->net.options = options;
	a->net.activation = activation;
	/* Known before guests are adopted: one may be gone again by then. */
	a->ends_with_last_port = options->fd.n + options->vhost_user_fd.n > 0 &&
				 !options->socket[0] && !options->vhost_user[0] &&
				 !options->vhost_user_connect[0] && activation.guests_fd < 0 &&
				 activation.vhost_fd < 0;
	result = build(a);
	if (result == 0)
		result = app_open(&a->net);
	if (result == 0) {
		tell(&a->net);
		notify_guests(a->ports_n);
		result = poller_uv_run(&a->loop);
		notify_stopping();
	}
	take_down(a);
	free(a);
	return result;
}
