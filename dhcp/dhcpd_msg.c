#include "dhcp/dhcpd_msg.h"

#include <assert.h>
#include <string.h>

#define COOKIE 0x63825363 /* RFC 2132 section 2 */
#define SNAME_AT 44       /* offsets in the message, RFC 2131 section 2 */
#define SNAME_LEN 64
#define FILE_AT 108
#define FILE_LEN 128
#define OPTIONS_AT 240 /* behind the cookie */
#define HTYPE_ETHERNET 1
#define IP_UDP_HDR_LEN 28
#define OVERLOAD_FILE 1 /* bits of option 52 */
#define OVERLOAD_SNAME 2
#define OPTION_LEN_MAX 255

/* ---- reading */

static bool area_in_use(const struct dhcpd_options *options)
{
	return options->area == 0 || (options->area == 1 && (options->overload & OVERLOAD_FILE)) ||
	       (options->area == 2 && (options->overload & OVERLOAD_SNAME));
}

bool dhcpd_options_next(struct dhcpd_options *options, struct dhcpd_option *ret)
{
	while (options->area < 3) {
		struct wire_in *in = &options->areas[options->area];
		uint8_t code =
		    area_in_use(options) && wire_left(in) ? wire_get_u8(in) : DHCPD_OPT_END;
		if (code == DHCPD_OPT_PAD)
			continue;
		if (code == DHCPD_OPT_END) { /* an area that is full needs none */
			options->area++;
			continue;
		}
		uint8_t len = wire_get_u8(in);
		const uint8_t *value = wire_get(in, len);
		if (in->bad) {
			options->bad = true;
			options->area = 3;
			return false;
		}
		if (code == DHCPD_OPT_OVERLOAD && len == 1 && options->area == 0)
			options->overload = value[0];
		*ret = (struct dhcpd_option){value, code, len};
		return true;
	}
	return false;
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Every guest looks these up under the search domain and trusts the answer. */
static bool is_reserved_name(const char *name)
{
	return strcmp(name, "localhost") == 0 || strcmp(name, "wpad") == 0;
}

void dhcpd_hostname_clean(const void *name, size_t len, char ret[DHCPD_HOSTNAME_MAX])
{
	const char *in = name;
	char label[DHCPD_HOSTNAME_MAX];
	size_t n = 0;

	ret[0] = '\0';
	while (n < len && in[n] != '.' && in[n] != '\0') { /* some clients send the NUL */
		if (n == sizeof(label) - 1)
			return;
		char c = in[n] >= 'A' && in[n] <= 'Z' ? (char)(in[n] - 'A' + 'a') : in[n];
		if (!is_label_char(c))
			return;
		label[n++] = c;
	}
	label[n] = '\0';
	if (n == 0 || label[0] == '-' || label[n - 1] == '-' || is_reserved_name(label))
		return;
	memcpy(ret, label, n + 1);
}

/* RFC 4702 section 2: flags, two obsolete bytes, and the name as text or, with the E flag, as DNS
 * labels. */
static void fqdn_clean(const struct dhcpd_option *option, char ret[DHCPD_HOSTNAME_MAX])
{
	struct wire_in in = wire_in(option->value, option->len);
	bool dns_format = wire_get_u8(&in) & 0x04;
	wire_skip(&in, 2);
	size_t len = wire_left(&in);
	if (dns_format && len > 0)
		len = wire_get_u8(&in);
	const uint8_t *name = wire_get(&in, len);
	dhcpd_hostname_clean(name ? name : (const uint8_t *)"", name ? len : 0, ret);
}

/* The value of an option that must have four bytes; false when it has not. */
static bool option_u32(const struct dhcpd_option *option, uint32_t *ret)
{
	struct wire_in in = wire_in(option->value, option->len);
	*ret = wire_get_u32(&in);
	return option->len == 4;
}

static uint32_t payload_limit(const struct dhcpd_option *option)
{
	struct wire_in in = wire_in(option->value, option->len);
	uint32_t datagram = wire_get_u16(&in);
	if (datagram < DHCPD_MSG_576 + IP_UDP_HDR_LEN) /* RFC 2132 section 9.10 */
		return DHCPD_MSG_576;
	datagram -= IP_UDP_HDR_LEN;
	return datagram > DHCPD_MSG_MAX ? DHCPD_MSG_MAX : datagram;
}

static bool begins_with(const struct dhcpd_option *option, const char *text)
{
	size_t len = strlen(text);
	return option->len >= len && memcmp(option->value, text, len) == 0;
}

/* iPXE sends its name as it is, where RFC 3004 section 4 has a length before each class. */
static bool is_ipxe(const struct dhcpd_option *option)
{
	return begins_with(option, "iPXE") || begins_with(option, "\4iPXE");
}

static void read_boot_option(const struct dhcpd_option *option, struct dhcpd_request *request)
{
	struct wire_in in = wire_in(option->value, option->len);
	if (option->code == DHCPD_OPT_ARCH && option->len >= 2)
		request->arch = wire_get_u16(&in);
	else if (option->code == DHCPD_OPT_VENDOR_CLASS && begins_with(option, "HTTPClient"))
		request->boot_client = DHCPD_BOOT_HTTP;
	else if (option->code == DHCPD_OPT_USER_CLASS && is_ipxe(option) &&
		 request->boot_client != DHCPD_BOOT_HTTP)
		request->boot_client = DHCPD_BOOT_IPXE;
}

/* False when the option's length is impossible and we would have relied on it. */
static bool read_option(const struct dhcpd_option *option, struct dhcpd_request *request)
{
	switch (option->code) {
	case DHCPD_OPT_TYPE:
		if (option->len != 1 || option->value[0] == DHCPD_BOOTP)
			return false;
		request->type = (enum dhcpd_type)option->value[0];
		return true;
	case DHCPD_OPT_REQUESTED_ADDR:
		return option_u32(option, &request->requested_addr);
	case DHCPD_OPT_SERVER_ID:
		return option_u32(option, &request->server_id);
	case DHCPD_OPT_PARAMS:
		request->params = option->value;
		request->params_n = option->len;
		return true;
	case DHCPD_OPT_MAX_LEN:
		request->payload_max = payload_limit(option);
		return option->len == 2;
	case DHCPD_OPT_CLIENT_ID:
		request->client_id = option->value;
		request->client_id_len = option->len;
		return true;
	case DHCPD_OPT_HOSTNAME:
		dhcpd_hostname_clean(option->value, option->len, request->hostname);
		return true;
	case DHCPD_OPT_FQDN:
		if (!request->hostname[0])
			fqdn_clean(option, request->hostname);
		return true;
	default:
		read_boot_option(option, request);
		return true;
	}
}

static bool read_options(struct dhcpd_options *options, struct dhcpd_request *request)
{
	struct dhcpd_option option;
	while (dhcpd_options_next(options, &option)) {
		if (!read_option(&option, request))
			return false;
	}
	return !options->bad;
}

bool dhcpd_request_read(struct wire_in message, struct dhcpd_request *ret)
{
	struct dhcpd_options options = {.area = 0};
	*ret = (struct dhcpd_request){.len = (uint32_t)wire_left(&message),
				      .payload_max = DHCPD_MSG_576,
				      .arch = DHCPD_ARCH_ANY};

	ret->op = wire_get_u8(&message);
	uint8_t htype = wire_get_u8(&message);
	uint8_t hlen = wire_get_u8(&message);
	wire_skip(&message, 1); /* hops */
	ret->xid = wire_get_u32(&message);
	wire_skip(&message, 2); /* secs */
	ret->flags = wire_get_u16(&message);
	ret->ciaddr = wire_get_u32(&message);
	wire_skip(&message, 8); /* yiaddr, siaddr */
	ret->giaddr = wire_get_u32(&message);
	wire_get_bytes(&message, ret->chaddr.b, sizeof(ret->chaddr.b));
	wire_skip(&message, 16 - sizeof(ret->chaddr.b));
	options.areas[2] = wire_get_in(&message, SNAME_LEN);
	options.areas[1] = wire_get_in(&message, FILE_LEN);
	if (message.bad || htype != HTYPE_ETHERNET || hlen != sizeof(ret->chaddr.b))
		return false;

	bool has_options = wire_get_u32(&message) == COOKIE;
	options.areas[0] = message;
	if (has_options && !read_options(&options, ret))
		return false;
	/* RFC 1542 section 2.1: BOOTP messages are never shorter. What is, is a broken DHCP one. */
	return ret->type != DHCPD_BOOTP || ret->len >= DHCPD_MSG_MIN;
}

/* ---- writing */

static void put_text_field(struct wire_out *out, const char *text, size_t field_len)
{
	size_t len = text ? strlen(text) : 0;
	if (len >= field_len) /* cut short it would name another file */
		len = 0;
	wire_put_bytes(out, text, len);
	wire_put_zero(out, field_len - len);
}

static void put_head(struct wire_out *out, const struct dhcpd_reply_head *head)
{
	const struct dhcpd_request *request = head->request;
	wire_put_u8(out, DHCPD_BOOTREPLY);
	wire_put_u8(out, HTYPE_ETHERNET);
	wire_put_u8(out, sizeof(request->chaddr.b));
	wire_put_u8(out, 0);
	wire_put_u32(out, request->xid);
	wire_put_u16(out, 0);
	wire_put_u16(out, request->flags);
	wire_put_u32(out, head->ciaddr);
	wire_put_u32(out, head->yiaddr);
	wire_put_u32(out, head->siaddr);
	wire_put_u32(out, request->giaddr);
	wire_put_bytes(out, request->chaddr.b, sizeof(request->chaddr.b));
	wire_put_zero(out, 16 - sizeof(request->chaddr.b));
	put_text_field(out, head->sname, SNAME_LEN);
	put_text_field(out, head->file, FILE_LEN);
	wire_put_u32(out, COOKIE);
}

/* Each field keeps one byte back for its end mark. */
static void add_field(struct dhcpd_writer *writer, size_t at, size_t len)
{
	writer->fields[writer->fields_n++] = wire_out(writer->start + at, len - 1);
}

void dhcpd_writer_begin(struct dhcpd_writer *writer, uint8_t *start, size_t payload_max,
			const struct dhcpd_reply_head *head, bool overload)
{
	assert(payload_max >= DHCPD_MSG_MIN);
	*writer = (struct dhcpd_writer){.payload_max = payload_max, .start = start};
	struct wire_out out = wire_out(start, payload_max);
	put_head(&out, head);
	assert(!out.bad && wire_len(&out) == OPTIONS_AT);
	add_field(writer, OPTIONS_AT, payload_max - OPTIONS_AT);

	uint8_t free_fields = 0;
	if (overload && start[FILE_AT] == 0) {
		free_fields |= OVERLOAD_FILE;
		add_field(writer, FILE_AT, FILE_LEN);
	}
	if (overload && start[SNAME_AT] == 0) {
		free_fields |= OVERLOAD_SNAME;
		add_field(writer, SNAME_AT, SNAME_LEN);
	}
	if (free_fields)
		dhcpd_writer_put(writer, DHCPD_OPT_OVERLOAD, &free_fields, 1);
}

static size_t room_in(const struct wire_out *field)
{
	return (size_t)(field->end - field->at);
}

/* The field that an option of 'len' bytes goes to, or NULL. */
static struct wire_out *field_for(struct dhcpd_writer *writer, size_t len)
{
	struct wire_out *best = NULL;
	for (unsigned i = 0; i < writer->fields_n; i++) {
		struct wire_out *field = &writer->fields[i];
		if (room_in(field) < len)
			continue;
		if (!writer->spread)
			return field;
		if (!best || room_in(field) < room_in(best))
			best = field;
	}
	return best;
}

void dhcpd_writer_put(struct dhcpd_writer *writer, uint8_t code, const void *value, size_t len)
{
	const uint8_t *from = value;
	size_t pieces = len ? (len + OPTION_LEN_MAX - 1) / OPTION_LEN_MAX : 1;
	struct wire_out *out = field_for(writer, len + 2 * pieces);
	if (!out) {
		writer->lost = true;
		return;
	}
	do {
		size_t piece = len < OPTION_LEN_MAX ? len : OPTION_LEN_MAX;
		wire_put_u8(out, code);
		wire_put_u8(out, (uint8_t)piece);
		wire_put_bytes(out, from, piece);
		from += piece;
		len -= piece;
	} while (len > 0);
}

size_t dhcpd_writer_end(struct dhcpd_writer *writer)
{
	for (unsigned i = 0; i < writer->fields_n; i++) {
		struct wire_out *field = &writer->fields[i];
		field->end++; /* the byte kept back */
		wire_put_u8(field, DHCPD_OPT_END);
	}
	for (unsigned i = 1; i < writer->fields_n; i++)
		wire_put_zero(&writer->fields[i], room_in(&writer->fields[i]));
	struct wire_out *options = &writer->fields[0];
	size_t len = (size_t)(options->at - writer->start);
	if (len < DHCPD_MSG_MIN) {
		wire_put_zero(options, DHCPD_MSG_MIN - len);
		len = DHCPD_MSG_MIN;
	}
	return len;
}
