#include "dhcp/dhcpd_boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dhcpd_text_copy(const char *text, char ret[DHCPD_TEXT_MAX])
{
	size_t len = text ? strlen(text) : 0;
	if (len >= DHCPD_TEXT_MAX)
		return -EINVAL;
	memcpy(ret, text ? text : "", len + 1);
	return 0;
}

int dhcpd_boots_init(struct dhcpd_boots *boots, const struct dhcpd_config *config)
{
	int error = dhcpd_text_copy(config->bootfile, boots->bootfile);
	boots->ask = config->boot_file;
	boots->ctx = config->ctx;
	if (error || config->boots_n == 0)
		return error;
	boots->entries = calloc(config->boots_n, sizeof(*boots->entries));
	boots->files = calloc(config->boots_n, sizeof(*boots->files));
	if (!boots->entries || !boots->files)
		return -ENOMEM;
	for (unsigned i = 0; i < config->boots_n && !error; i++) {
		error = dhcpd_text_copy(config->boots[i].file, boots->files[i]);
		boots->entries[i] = config->boots[i];
		boots->entries[i].file = boots->files[i];
	}
	boots->n = config->boots_n;
	return error;
}

void dhcpd_boots_fini(struct dhcpd_boots *boots)
{
	free(boots->entries);
	free(boots->files);
}

static const char *find(const struct dhcpd_boots *boots, enum dhcpd_boot_client client, int arch)
{
	for (unsigned i = 0; i < boots->n; i++) {
		const struct dhcpd_boot *entry = &boots->entries[i];
		if (entry->client == client && entry->arch == arch)
			return entry->file;
	}
	return NULL;
}

/* The entry of the client's own architecture, or one for any, or NULL. */
static const char *find_nearest(const struct dhcpd_boots *boots, enum dhcpd_boot_client client,
				int arch)
{
	const char *file = find(boots, client, arch);
	return file ? file : find(boots, client, DHCPD_ARCH_ANY);
}

bool dhcpd_boot_is_url(const char *file)
{
	return strncmp(file, "http://", 7) == 0 || strncmp(file, "https://", 8) == 0;
}

const char *dhcpd_boots_choose(struct dhcpd_boots *boots, const struct dhcpd_request *request)
{
	const char *file = find_nearest(boots, request->boot_client, request->arch);
	if (!file && request->boot_client == DHCPD_BOOT_IPXE)
		file = find_nearest(boots, DHCPD_BOOT_PXE, request->arch);
	if (!file && boots->ask &&
	    boots->ask(boots->ctx, request->boot_client, request->arch, boots->answer))
		file = boots->answer;
	return file ? file : boots->bootfile;
}
