#include "stack/app/capture.h"
#include "stack/app/options_table.h"

#include <ctype.h>
#include <errno.h>

/* "[MAC,]FILE": what no MAC stands in front of is a file's name, commas and all. */
int options_set_pcap(struct setting *s)
{
	struct options_pcaps *list = &s->options->pcap;
	const char *comma = strchr(s->value, ','), *file = s->value;
	struct options_pcap pcap = {.of_mac = false};
	char mac[MAC_TEXT_MAX];

	if (comma && (size_t)(comma - s->value) < sizeof(mac)) {
		memcpy(mac, s->value, (size_t)(comma - s->value));
		mac[comma - s->value] = '\0';
		pcap.of_mac = mac_parse(mac, &pcap.mac) == 0;
	}
	if (pcap.of_mac)
		file = comma + 1;
	if (pcap.of_mac && mac_is_multicast(&pcap.mac))
		return setting_fail(s, "a group's address is no guest's");
	if (*file == '\0')
		return setting_fail(s, "names no file");
	if (strlen(file) >= sizeof(pcap.file))
		return setting_fail(s, "has more than %zu bytes", sizeof(pcap.file) - 1);
	if (list->n == OPTIONS_PCAPS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_PCAPS_MAX);
	memcpy(pcap.file, file, strlen(file) + 1);
	list->pcap[list->n++] = pcap;
	return 0;
}

/* Bytes, with K, M or G for 1024 and its powers. */
int options_set_bytes(struct setting *s)
{
	static const char units[] = "KMG";
	const char *c = s->value, *unit;
	uint64_t value = 0;

	for (; isdigit((unsigned char)*c) && value < UINT64_C(1) << 40; c++)
		value = value * 10 + (uint64_t)(*c - '0');
	if (c == s->value)
		return setting_fail(s, "is no number of bytes");
	unit = *c ? strchr(units, toupper((unsigned char)*c)) : NULL;
	if (unit) {
		value <<= 10 * (unit - units + 1);
		c++;
	}
	if (*c != '\0')
		return setting_fail(s, "is no number of bytes");
	if (value < (uint64_t)s->row->min || value > (uint64_t)s->row->max)
		return setting_fail(s, "must be from %ld to %ld bytes", s->row->min, s->row->max);
	*(uint64_t *)(void *)((char *)s->options + s->row->offset) = value;
	return 0;
}

_Static_assert(OPTIONS_PCAP_PATH_MAX == CAPTURE_PATH_MAX, "a path must fit");
_Static_assert(OPTIONS_PCAPS_MAX <= CAPTURES_MAX, "all of them must fit");

int options_check_pcap(const struct options *o, struct options_fault *ret)
{
	for (unsigned i = 0; i < o->pcap.n; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (strcmp(o->pcap.pcap[i].file, o->pcap.pcap[j].file) == 0)
				return options_fault(
				    ret, "pcap",
				    "'%.200s': is given twice (accepted: each file "
				    "once)",
				    o->pcap.pcap[i].file);
		}
	}
	if (o->pcap_files && !o->pcap_size)
		return options_fault(ret, "pcap-files",
				     "'%u': needs --pcap-size, at which the next file is begun",
				     (unsigned)o->pcap_files);
	return 0;
}
