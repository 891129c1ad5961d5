# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# The guest's part of 'make demo': each step with its command and what that printed.
step() { # NAME REGEX SHELL-COMMAND
	say "$ $3"
	sh -c "$3" >/run/out 2>&1
	while read -r step_line; do
		[ -z "$step_line" ] || say "$step_line"
	done </run/out
	if grep -Eq "$2" /run/out; then
		say "ok $1"
	else
		say "not ok $1"
	fi
}

step "guest gets its lease" 'lease of 10\.0\.2\.15 obtained.*, lease time 86400' 'udhcpc -i eth0 -n -q -O search'
step "guest pings the gateway" '3 packets received' 'ping -c 3 10.0.2.2'
step "guest resolves a name of the network" 'Address.*: 10\.0\.2\.2$' 'nslookup -type=a host.lwnat.internal'
step "guest downloads 16 MiB over HTTP, sha256 as on the host" "$FILE_SUM" \
	"timeout 60 wget -q -O - http://host.lwnat.internal:$WEB_PORT/file | sha256sum"
[ -z "$OUTSIDE" ] || step "guest resolves a public name" 'Address.*: [0-9.]+$' "nslookup -type=a $PUBLIC"
[ "$OUTSIDE" != http ] || step "guest downloads a public page" '<html' "timeout 30 wget -q -O - http://$PUBLIC/ | head -n 5"
serve "hello from the guest"
