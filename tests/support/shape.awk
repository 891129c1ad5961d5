# The shape of the tree, over all .c and .h files given: who may include whom, how long things may get.
#   awk -f shape.awk FILE...        prints each breach, exits 1 if there was one
#
# An include goes down, never sideways or up: level() is the list, and equal levels are siblings.

function level(path) {
	if (path ~ /^stack\/base\//) return 0
	if (path ~ /^(dhcp|dns|tftp|hostfwd)\// || path ~ /^stack\/(link|nat)\//) return 1
	if (path ~ /^stack\/host\//) return 2
	if (path ~ /^stack\/app\//) return 3
	if (path ~ /^tests\//) return 4
	return -1
}

function folder(path) {
	if (path ~ /^stack\/nat\//) return "stack/nat"
	if (path ~ /^tests\//) return "tests"
	sub(/\/[^\/]*$/, "", path)
	return path
}

function breach(line, text) {
	printf "%s:%d: %s\n", FILENAME, line, text
	breaches++
}

function check_include(name, quoted,    of) {
	if (name ~ /^(lwip|netif)\// || name == "lwipopts.h") {
		if (folder(FILENAME) != "stack/nat" && FILENAME !~ /^tests\/core\//)
			breach(FNR, "includes <" name ">: lwIP is known only to stack/nat")
	} else if (name == "uv.h" || name == "ares.h") {
		if (level(FILENAME) != 2 && level(FILENAME) != 3 && level(FILENAME) != 4 && FILENAME !~ /_uv\.[ch]$/)
			breach(FNR, "includes <" name ">: only stack/host, stack/app and *_uv files do")
	} else if (quoted && name ~ /\// && name !~ /^\.\./) {
		of = level(name)
		if (of < 0)
			breach(FNR, "includes \"" name "\", which is in no layer")
		else if (of > level(FILENAME))
			breach(FNR, "includes \"" name "\", which is a layer above")
		else if (of == level(FILENAME) && folder(name) != folder(FILENAME))
			breach(FNR, "includes \"" name "\", which is a sibling")
	} else if (quoted && FILENAME !~ /^tests\// && FILENAME !~ /^stack\/nat\/port\//) {
		breach(FNR, "includes \"" name "\": write the path from the root")
	}
}

function end_file() {
	if (last_line > 1000) {
		printf "%s: %d lines; 1000 are the limit\n", last_file, last_line
		breaches++
	}
}

FNR == 1 {
	end_file()
	last_file = FILENAME
	start = 0
}
{ last_line = FNR }

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
	split($0, part, /["<>]/)
	check_include(part[2], index($0, "\"") > 0)
}

# Layout is settled, so a function's braces stand alone in the first column.
/^\{$/ { start = FNR }
/^\}/ {
	if (start && FNR - start + 1 > 100)
		breach(start, "a function of " FNR - start + 1 " lines; 100 are the limit")
	start = 0
}

END {
	end_file()
	exit breaches > 0
}
