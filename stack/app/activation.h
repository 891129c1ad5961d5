/* Sockets that a service manager has opened for us: sd_listen_fds(3). */
#ifndef LWNAT_APP_ACTIVATION_H
#define LWNAT_APP_ACTIVATION_H

#define ACTIVATION_ERROR_MAX 200

struct activation {
	int guests_fd;  /* a listening UNIX stream socket for guests; -1: none */
	int vhost_fd;   /* likewise for vhost-user guests, by the name "vhost" */
	int control_fd; /* likewise for the control API, by the name "control" */
};

/* Takes what $LISTEN_FDS offers to this process; the variables are gone afterwards and the
 * descriptors are closed in children. 0, or -EINVAL and one line. */
int activation_take(struct activation *ret, char error[ACTIVATION_ERROR_MAX]);

#endif
