#include "stack/app/boot.h"

#include "stack/app/boot_http.h"
#include "stack/app/boot_tftp.h"
#include "stack/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct boot {
	struct boot_config config;
	struct host_files *files;
	struct boot_tftp *tftp;
	struct boot_http *http; /* NULL: --tftp alone */
};

/* ---- what DHCP tells ---- */

static bool exists(void *ctx, const char *name)
{
	const struct boot *boot = ctx;
	struct host_file file;

	if (host_files_open(boot->files, name, &file) < 0)
		return false;
	close(file.fd);
	return true;
}

bool boot_has_menu(const struct boot *boot)
{
	return boot && boot->http;
}

void boot_file(const struct boot *boot, const struct boot_client *client, char ret[BOOT_FILE_MAX])
{
	const struct options *o = boot->config.options;
	char host[ADDR_TEXT_MAX], url[ADDR_TEXT_MAX + 16];
	struct boot_menu menu = {.exists = exists,
				 .ctx = (void *)(uintptr_t)boot,
				 .pxe_prefix = "",
				 .http_prefix = url,
				 .bootfile = o->bootfile};

	snprintf(url, sizeof(url), "http://%s/", addr_format(&o->host, host));
	boot_menu_choose(&menu, client, ret);
}

/* The user's own entry for exactly this architecture, or NULL. */
static const char *own_entry(const struct options *o, const struct boot_client *client)
{
	for (unsigned i = 0; i < o->dhcp_boots.n; i++) {
		const struct options_dhcp_boot *entry = &o->dhcp_boots.boot[i];

		if (entry->client == client->kind && entry->arch == client->arch)
			return entry->file;
	}
	return NULL;
}

/* As dhcpd chooses: the user's entry for the architecture, one for any, the menu. */
static void choose6(const struct boot_menu *menu, const struct options *o,
		    const struct boot_client *client, char ret[BOOT_FILE_MAX])
{
	struct boot_client any = {client->kind, DHCPD_ARCH_ANY};
	struct boot_menu own = *menu;

	own.bootfile = own_entry(o, client);
	if (!own.bootfile)
		own.bootfile = own_entry(o, &any);
	boot_menu_choose(own.bootfile ? &own : menu, client, ret);
}

static bool nothing_exists(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return false;
}

void boot_url6(const struct boot *boot, const struct options *o, const struct dhcpd6_boot_ask *ask,
	       char ret[DHCPD6_URL_MAX])
{
	char host[ADDR_TEXT_MAX], tftp[ADDR_TEXT_MAX + 16], http[ADDR_TEXT_MAX + 16];
	struct boot_client client = {ask->http ? DHCPD_BOOT_HTTP : DHCPD_BOOT_PXE, DHCPD_ARCH_ANY};
	struct boot_menu menu = {.exists = boot_has_menu(boot) ? exists : nothing_exists,
				 .ctx = (void *)(uintptr_t)boot,
				 .pxe_prefix = tftp,
				 .http_prefix = http,
				 .bootfile = o->bootfile};
	char file[BOOT_FILE_MAX] = "";
	unsigned i = 0;

	addr_format(&o->host6, host);
	snprintf(tftp, sizeof(tftp), "tftp://[%s]/", host);
	snprintf(http, sizeof(http), "http://[%s]/", host);
	do { /* once even when the client names none */
		client.arch = i < ask->archs_n ? ask->archs[i] : DHCPD_ARCH_ANY;
		choose6(&menu, o, &client, file);
	} while (!file[0] && ++i < ask->archs_n);
	memcpy(ret, file, strlen(file) + 1);
}

/* ---- the servers ---- */

int boot_accept(struct boot *boot, int fd, uint32_t port_id)
{
	if (!boot || !boot->http)
		return -ECONNREFUSED;
	/* Whatever becomes of it, the descriptor is the server's from here on. */
	(void)boot_http_accept(boot->http, fd, port_id);
	return 0;
}

static int open_dir(struct boot *boot)
{
	const struct options *o = boot->config.options;
	const char *option = o->boot[0] ? "boot" : "tftp", *dir = o->boot[0] ? o->boot : o->tftp;
	int err = host_files_new(&boot->files, dir);

	if (err == 0 || err == -ENOMEM)
		return err;
	log_err("--%s: '%s': %s (accepted: a directory that can be read)", option, dir,
		strerror(-err));
	return -ECANCELED;
}

static int start_tftp(struct boot *boot)
{
	const struct options *o = boot->config.options;
	struct boot_tftp_config config = {
	    .loop = boot->config.loop,
	    .nat = boot->config.nat,
	    .rng = boot->config.rng,
	    .files = boot->files,
	    .mtu = o->mtu,
	    .dns4 = o->dns,
	    .dns6 = o->dns6,
	    .port_by_id = boot->config.port_by_id,
	    .ctx = boot->config.ctx,
	};

	return boot_tftp_new(&boot->tftp, &config);
}

static int start_http(struct boot *boot)
{
	int err = boot_http_new(&boot->http, boot->config.loop, boot->files);

	if (err < 0)
		return err;
	return nat_tcp_service_add(boot->config.nat, BOOT_HTTP_PORT, false,
				   boot->config.http_service);
}

int boot_new(struct boot **ret, const struct boot_config *config)
{
	struct boot *boot;
	int err;

	*ret = NULL;
	if (!config->options->tftp[0] && !config->options->boot[0])
		return 0;
	boot = calloc(1, sizeof(*boot));
	if (!boot)
		return -ENOMEM;
	boot->config = *config;
	err = open_dir(boot);
	if (err == 0)
		err = start_tftp(boot);
	if (err == 0 && config->options->boot[0])
		err = start_http(boot);
	if (err < 0)
		boot_close(boot);
	else
		*ret = boot;
	return err;
}

const struct tftpd *boot_tftpd(const struct boot *boot)
{
	return boot ? boot_tftp_server(boot->tftp) : NULL;
}

unsigned boot_fds_max(const struct options *o)
{
	if (o->boot[0])
		return BOOT_TFTP_TRANSFERS_MAX + 2 * BOOT_HTTP_CONNECTIONS_MAX;
	return o->tftp[0] ? BOOT_TFTP_TRANSFERS_MAX : 0;
}

void boot_port_gone(struct boot *boot, const struct port *port)
{
	if (boot)
		boot_tftp_port_gone(boot->tftp, port);
}

void boot_close(struct boot *boot)
{
	if (!boot)
		return;
	boot_http_close(boot->http);
	boot_tftp_close(boot->tftp);
	host_files_free(boot->files);
	free(boot);
}
