/* The latest lines of the log, and how much is logged. */
#include "stack/app/control_api.h"
#include "stack/base/log.h"

void api_get_log(struct api_call *call)
{
	uint64_t most = call->query[0].number, after = call->query[1].number;
	enum log_level level = LOG_LEVEL_DEBUG;
	struct log_line line;
	json_t *list = json_array();

	(void)log_level_parse(call->query[2].text, &level);
	while (log_recent(after, &line)) {
		after = line.serial;
		if (line.level > level)
			continue;
		json_array_append_new(
		    list, json_pack("{s:I, s:I, s:s, s:s}", "number", (json_int_t)line.serial,
				    "time_unix_ms", (json_int_t)line.unix_ms, "level",
				    log_level_word(line.level), "text", line.text));
		if (json_array_size(list) > most)
			json_array_remove(list, 0); /* the latest ones are wanted */
	}
	api_reply(call->x, 200,
		  json_pack("{s:s, s:o}", "level", log_level_word(log_level_now()), "lines", list));
}

void api_put_log(struct api_call *call)
{
	enum log_level level;

	if (log_level_parse(call->body[0].text, &level) == 0) {
		log_set_level(level);
		log_info("log level is %s", log_level_word(level));
	}
	api_reply(call->x, 200, json_pack("{s:s}", "level", log_level_word(log_level_now())));
}
