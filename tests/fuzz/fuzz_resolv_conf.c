/* The text of resolv.conf: other programs write it. */
#include "stack/host/resolv_conf.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	unsigned n = resolv_conf_parse((const char *)data, len, servers);

	assert(n <= RESOLV_SERVERS_MAX);
	for (unsigned i = 0; i < n; i++) {
		assert(servers[i].endpoint.port == 53);
		assert(memchr(servers[i].scope, '\0', sizeof(servers[i].scope)));
	}
	return 0;
}
