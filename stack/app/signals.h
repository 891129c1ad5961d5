/* What signals mean: SIGINT and SIGTERM end the network; SIGHUP opens the log file again, or ends
 * the network when there is none; SIGUSR1 asks for its state. */
#ifndef LWNAT_APP_SIGNALS_H
#define LWNAT_APP_SIGNALS_H

#include <uv.h>

#define SIGNALS_N 4

struct signals {
	uv_signal_t handle[SIGNALS_N];
	void (*status)(void *ctx);
	void *ctx;
};

/* 'signals' stays until the loop has closed its handles after signals_close(). The end is
 * poller_uv_stop(). SIGINT and SIGHUP that were ignored at the start (nohup, a shell's background
 * job) stay so, but for a SIGHUP that has a file to open. */
void signals_init(struct signals *signals, uv_loop_t *loop);
void signals_close(struct signals *signals);

#endif
