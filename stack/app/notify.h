/* Telling the service manager how we are, as sd_notify(3) has it. Nothing happens without
 * $NOTIFY_SOCKET. */
#ifndef LWNAT_APP_NOTIFY_H
#define LWNAT_APP_NOTIFY_H

#include <uv.h>

void notify_ready(void);
void notify_stopping(void);
void notify_guests(unsigned guests_n); /* for people: systemctl status */

/* Sign of life while the loop turns, as often as $WATCHDOG_USEC wants it. */
struct notify_watchdog {
	uv_timer_t timer;
};
void notify_watchdog_init(struct notify_watchdog *watchdog, uv_loop_t *loop);
void notify_watchdog_close(struct notify_watchdog *watchdog);

#endif
