#include "tftp/tftpd_msg.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define TIMEOUT_S_MAX 255 /* RFC 2349 */
#define WINDOWSIZE_MAX 65535

/* The next string, or NULL when its NUL is missing. */
static const char *get_text(struct wire_in *in)
{
	const uint8_t *nul = memchr(in->at, '\0', wire_left(in));

	if (!nul) {
		in->bad = true;
		return NULL;
	}
	return (const char *)wire_get(in, (size_t)(nul - in->at) + 1);
}

static enum tftpd_mode mode_of(const char *text)
{
	if (strcasecmp(text, "octet") == 0)
		return TFTPD_OCTET;
	return strcasecmp(text, "netascii") == 0 ? TFTPD_NETASCII : TFTPD_MODE_UNKNOWN;
}

/* The value when it is a decimal number within these bounds, else 0. */
static uint32_t number(const char *text, uint32_t min, uint32_t max)
{
	uint32_t value = 0;

	if (*text == '\0')
		return 0;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		value = value * 10 + (uint32_t)(*text - '0');
		if (value > max)
			return 0;
	}
	return value < min ? 0 : value;
}

static void read_option(struct tftpd_request *ret, const char *name, const char *value)
{
	if (strcasecmp(name, "blksize") == 0)
		ret->blksize = number(value, TFTPD_BLKSIZE_MIN, TFTPD_BLKSIZE_MAX);
	else if (strcasecmp(name, "timeout") == 0)
		ret->timeout_s = number(value, 1, TIMEOUT_S_MAX);
	else if (strcasecmp(name, "windowsize") == 0)
		ret->windowsize = number(value, 1, WINDOWSIZE_MAX);
	else if (strcasecmp(name, "tsize") == 0)
		ret->tsize = true;
}

bool tftpd_request_read(struct tftpd_request *ret, struct wire_in *in)
{
	struct tftpd_request request = {.name = get_text(in)};
	const char *mode = in->bad ? NULL : get_text(in);

	if (!mode || request.name[0] == '\0')
		return false;
	request.mode = mode_of(mode);
	/* What is cut short at the end is no option; the request itself is whole. */
	while (wire_left(in) > 0) {
		const char *name = get_text(in);
		const char *value = in->bad ? NULL : get_text(in);

		if (value)
			read_option(&request, name, value);
	}
	*ret = request;
	return true;
}

bool tftpd_options_any(const struct tftpd_options *options)
{
	return options->blksize || options->timeout_s || options->windowsize || options->has_tsize;
}

static void put_option(struct wire_out *out, const char *name, uint64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, value);

	wire_put_bytes(out, name, strlen(name) + 1);
	wire_put_bytes(out, text, (size_t)len + 1);
}

void tftpd_write_oack(struct wire_out *out, const struct tftpd_options *options)
{
	wire_put_u16(out, TFTPD_OACK);
	if (options->blksize)
		put_option(out, "blksize", options->blksize);
	if (options->timeout_s)
		put_option(out, "timeout", options->timeout_s);
	if (options->has_tsize)
		put_option(out, "tsize", options->tsize);
	if (options->windowsize)
		put_option(out, "windowsize", options->windowsize);
}

void tftpd_write_error(struct wire_out *out, enum tftpd_error error, const char *text)
{
	wire_put_u16(out, TFTPD_ERROR);
	wire_put_u16(out, (uint16_t)error);
	wire_put_bytes(out, text, strlen(text) + 1);
}
