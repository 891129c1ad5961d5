/* Captures. */
#include "stack/app/control_api.h"

#include <string.h>

/* false: the error has been replied. */
static bool is_there(struct api_call *call)
{
	const struct guest_record *guest;

	return strcmp(call->arg, "all") == 0 ||
	       api_find_attached(call, "guest", call->arg, &guest) == 0;
}

static void not_built(struct api_call *call)
{
	if (is_there(call))
		api_error(call->x, 501, NULL, "this build cannot capture");
}

void api_get_captures(struct api_call *call)
{
	api_reply(call->x, 200, json_pack("{s:[]}", "captures"));
}

void api_get_pcap(struct api_call *call)
{
	not_built(call);
}

void api_post_pcap(struct api_call *call)
{
	not_built(call);
}

void api_delete_pcap(struct api_call *call)
{
	not_built(call);
}
