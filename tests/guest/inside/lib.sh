# shellcheck shell=dash
# What the guests' scripts share (busybox ash). Sourced by init.

# One line for the host.
say() {
	echo "$*" >/dev/ttyS1
}

# Runs a program for SECONDS at most, or as much longer as the host says.
within() { # SECONDS PROGRAM...
	within_s=$(($1 * ${SLOW:-1}))
	shift
	timeout "$within_s" "$@"
}

# Tries a command until it succeeds, for SECONDS at most, or as much longer as the host says.
wait_for() { # SECONDS COMMAND...
	wait_left=$(($1 * 5 * ${SLOW:-1}))
	shift
	until "$@"; do
		[ "$wait_left" -gt 0 ] || return 1
		wait_left=$((wait_left - 1))
		usleep 200000
	done
}

# One test: the command's status decides; what it printed is shown when it failed.
t() { # NAME COMMAND...
	t_name=$1
	shift
	if "$@" >/run/out 2>&1; then
		say "ok $t_name"
	else
		say "not ok $t_name (status $?)"
		tail -n 12 /run/out | while read -r t_line; do
			say "#   $t_line"
		done
	fi
}

# Succeeds when the command's output has a line that matches.
prints() { # REGEX COMMAND...
	prints_regex=$1
	shift
	"$@" >/run/prints 2>&1
	cat /run/prints
	grep -Eq "$prints_regex" /run/prints
}

# Asks for a lease, once; the script beside udhcpc leaves what it got in /run/lease.
lease() {
	ip link set eth0 up
	udhcpc -i eth0 -n -q -t $((8 * ${SLOW:-1})) -T 2 -O mtu -O search -O staticroutes "$@"
}

# What the last lease said.
leased() { # NAME
	sed -n "s/^$1=//p" /run/lease
}

sum() {
	sha256sum "$@" | cut -d ' ' -f 1
}

# (Debian 12's static busybox dies of wget -T: time limits are within's.)
# Fetches URL and compares its sha256.
fetch_sum() { # URL SHA256
	within 60 wget -q -O /tmp/fetched "$1" && [ "$(sum /tmp/fetched)" = "$2" ]
}

# Posts FILE to a host's CGI that answers with the sha256 of what arrived.
post_sum() { # URL FILE
	[ -s "$2" ] && [ "$(within 60 wget -q -O - --post-file "$2" "$1")" = "$(sum "$2")" ]
}

# Succeeds when connecting is refused, and soon: a guest that must wait for a time-out sees minutes.
refused() { # ADDRESS PORT
	prints 'Connection refused' within 5 nc "$1" "$2" </dev/null
}

# Starts what the host will reach: HTTP on port 80, ssh on 22 for the key handed over, UDP echo on port 7.
serve() { # TEXT
	mkdir -p /srv /root/.ssh
	echo "$1" >/srv/index.html
	httpd -p 80 -h /srv
	nettool udp-echo 7 &
	if [ -n "$AUTHORIZED_KEY" ]; then
		echo "$AUTHORIZED_KEY" >/root/.ssh/authorized_keys
		chmod 700 /root /root/.ssh
		dropbearkey -t ed25519 -f /etc/dropbear/dropbear_ed25519_host_key >/dev/null 2>&1
		dropbear -s -p 22 -r /etc/dropbear/dropbear_ed25519_host_key
	fi
}
