# shellcheck shell=bash disable=SC2034 # some variables are for the scripts that source this
# What the guest tests and the demo share. Sourced by bash scripts in this folder.
#
# LWNAT=path       the program under test (default: the tree's ./lwnat)
# GUEST_NAT=slirp  runs the same against QEMU's own user network, to see what is the guest's doing and what ours
# GUEST_IMAGE=dir  where mkguest.sh put the image (default: build/guest)
# GUEST_SLOW=n     multiplies every time limit (default 4, for a busy machine); they only end what hangs
# GUEST_KEEP=1     keeps the folder with sockets, logs and consoles

set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
image=${GUEST_IMAGE:-$top/build/guest}
slow=${GUEST_SLOW:-4}
lwnat=${LWNAT:-$top/lwnat}
passed=0
failed=0
pids=()
work=
sockets=
nettool=
by_name=
vhost=
vhost_ram=(-object "memory-backend-memfd,id=ram,size=320M,share=on" -machine "memory-backend=ram")

end_all() {
	local pid
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	wait_for 5 all_ended || kill -KILL "${pids[@]}" 2>/dev/null
	wait
	[ -z "$work" ] || [ -n "${GUEST_KEEP:-}" ] || rm -rf "$work"
}

all_ended() {
	! kill -0 "${pids[@]}" 2>/dev/null
}

die() {
	echo "not ok - $*"
	echo "$passed passed, $((failed + 1)) failed"
	exit 1
}

# Makes the image where needed and a folder for this run ($work).
set_up() {
	"$here/mkguest.sh" "$image" 9>&- || die "no guest image"
	command -v qemu-system-x86_64 >/dev/null || die "no qemu-system-x86_64: install the package qemu-system-x86"
	qemu-system-x86_64 -netdev help 2>/dev/null | grep -qx stream || die "this QEMU has no -netdev stream: 7.2 or newer is needed"
	[ "${GUEST_NAT:-lwnat}" != lwnat ] || [ -x "$lwnat" ] || die "no program under test at $lwnat"
	work=$(mktemp -d "${TMPDIR:-/tmp}/lwnat-guest.XXXXXX")
	sockets=$work
	nettool=$image/nettool
	trap end_all EXIT
	trap 'exit 1' INT TERM HUP
	ssh-keygen -q -t ed25519 -N '' -C guest-test -f "$work/key" </dev/null || die "ssh-keygen failed"
}

# The first number of QEMU's version.
qemu_major() {
	qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'
}

nettool() {
	"$nettool" "$@"
}

free_port() {
	nettool free-port
}

# Runs in the background and is ended with the script; its pid goes to $last_pid.
background() { # LOG COMMAND...
	local log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null 9>&- &
	last_pid=$!
	pids+=("$last_pid")
}

# Tries a command every 0.2 s until it succeeds, for SECONDS at most.
wait_for() { # SECONDS COMMAND...
	local left=$(($1 * 5 * slow))
	shift
	until "$@"; do
		[ "$left" -gt 0 ] || return 1
		left=$((left - 1))
		sleep 0.2
	done
}

ok() {
	passed=$((passed + 1))
	echo "ok - $*"
}

not_ok() {
	failed=$((failed + 1))
	echo "not ok - $*"
}

# One test on the host's side: the command's status decides; what it printed is shown when it failed.
t() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		ok "$name"
	else
		not_ok "$name"
		tail -n 12 "$work/out" | sed 's/^/#   /'
	fi
}

# Succeeds when the command's output has a line that matches.
prints() { # REGEX COMMAND...
	local regex=$1
	shift
	"$@" >"$work/prints" 2>&1
	cat "$work/prints"
	grep -Eq "$regex" "$work/prints"
}

# Prints the last lines of a log as comments.
show_log() { # FILE
	[ ! -s "$1" ] || tail -n 15 "$1" | tr -d '\r' | sed 's/^/#   /'
}

finish() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}

# Starts a network whose guests connect to $sockets/NAME.sock (lwnat's own choice by its name, where $by_name is
# set). USER is what would follow 'user,' for QEMU, or
# nothing; what comes after it are lwnat's own options. The pid goes to $nat_pid.
nat_start() { # NAME USER [OPTION...]
	local name=$1 user=$2 place=(--socket "$sockets/$1.sock" --control "$sockets/$1.ctl")
	shift 2
	[ -z "$by_name" ] || place=(--name "$name")
	[ -z "$vhost" ] || place+=(--vhost-user "$sockets/$name.vhost")
	case ${GUEST_NAT:-lwnat} in
	slirp)
		background "$work/$name.nat.log" qemu-system-x86_64 -M none -display none -monitor none -serial none \
			-netdev "user,id=u${user:+,$user}" \
			-netdev "stream,id=s,server=on,addr.type=unix,addr.path=$sockets/$name.sock" \
			-netdev hubport,hubid=0,id=h0,netdev=u -netdev hubport,hubid=0,id=h1,netdev=s
		nat_pid=$last_pid
		wait_for 20 test -S "$sockets/$name.sock" || nat_failed "$name"
		;;
	*)
		# shellcheck disable=SC2016 # the inner shell's words
		background "$work/$name.nat.log" bash -c 'exec 3>"$1"; shift; exec "$@"' ready "$work/$name.ready" \
			"${as_user[@]}" "$lwnat" --netdev "user,id=net0${user:+,$user}" "${place[@]}" --ready-fd 3 "$@"
		nat_pid=$last_pid
		wait_for 20 nat_is_ready_or_dead "$name" "$nat_pid"
		[ -s "$work/$name.ready" ] || nat_failed "$name"
		;;
	esac
}

nat_is_ready_or_dead() { # NAME PID
	[ -s "$work/$1.ready" ] || ! kill -0 "$2" 2>/dev/null
}

nat_failed() { # NAME
	show_log "$work/$1.nat.log"
	die "the network $1 did not start"
}

has_ended() { # PID
	! kill -0 "$1" 2>/dev/null
}

# Succeeds when the process ends soon after SIGTERM, with status 0.
ends_on_sigterm() { # PID
	kill "$1"
	wait_for 10 has_ended "$1" && wait "$1"
}

# What every boot shares; the rest are the options of one guest. On a host so busy that an emulated CPU stands still for
# a moment, Linux may find that its timer does not work, and panic: no_timer_check.
qemu_guest() { # NAME OPTION...
	local name=$1
	shift
	background "$work/$name.qemu.log" "${as_user[@]}" qemu-system-x86_64 -M pc -accel tcg -cpu max -m 320 -display none \
		-monitor none -no-reboot -nodefaults -serial "file:$work/$name.console" -serial "file:$work/$name.results" \
		-kernel "$image/kernel/vmlinuz" -initrd "$image/initramfs" \
		-append 'console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on no_timer_check' "$@"
}

# QEMU's words for a guest's connection, in $netdev: 'vhost:PATH' is vhost-user, which needs shared memory (another
# kind of it in $vhost_ram).
netdev_words() { # SOCKET
	case $1 in
	vhost:*)
		netdev=("${vhost_ram[@]}"
			-chardev "socket,id=char0,path=${1#vhost:}${vhost_chardev:-}" -netdev "vhost-user,id=net0,chardev=char0${vhost_netdev:-}")
		;;
	*) netdev=(-netdev "stream,id=net0,server=off,addr.type=unix,addr.path=$1") ;;
	esac
}

# Boots a guest that runs SCRIPT. The words after the MAC are NAME=VALUE for the script, or options for QEMU
# (beginning with '-', each with one argument). Its pid goes to $guest_pid.
guest_start() { # NAME SOCKET SCRIPT NIC MAC [NAME=VALUE | -OPTION ARGUMENT]...
	local name=$1 socket=$2 script=$3 nic=$4 mac=$5 options=()
	shift 5
	printf '%s\n' "AUTHORIZED_KEY='$(cat "$work/key.pub")'" "SLOW=$slow" >"$work/$name.env"
	while [ $# -gt 0 ]; do
		case $1 in
		-*)
			options+=("$1" "$2")
			shift
			;;
		*) echo "${1%%=*}='${1#*=}'" >>"$work/$name.env" ;;
		esac
		shift
	done
	: >"$work/$name.results"
	: >"$work/$name.console"
	[ ${#as_user[@]} -eq 0 ] || chmod 666 "$work/$name.results" "$work/$name.console" "$work/$name.env"
	netdev_words "$socket"
	qemu_guest "$name" "${netdev[@]}" \
		-device "$nic,netdev=net0,mac=$mac,romfile=" \
		-fw_cfg "name=opt/lwnat/env,file=$work/$name.env" -fw_cfg "name=opt/lwnat/script,file=$script" "${options[@]}"
	guest_pid=$last_pid
}

guest_said_or_dead() { # NAME REGEX PID
	grep -aEq "$2" "$work/$1.results" || ! kill -0 "$3" 2>/dev/null
}

# Waits until the guest has said a line that matches; for 'guest_collect', which tells when it never does.
guest_wait() { # NAME PID REGEX SECONDS
	wait_for "$4" guest_said_or_dead "$1" "$3" "$2"
	grep -aEq "$3" "$work/$1.results"
}

# Waits for the end of the guest's script and counts its tests as ours. A guest that dies or hangs is one failure.
guest_collect() { # NAME PID SECONDS
	local line ended=1
	guest_wait "$1" "$2" '^# done' "$3" && ended=0
	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		'ok '*) ok "$1: ${line#ok }" ;;
		'not ok '*) not_ok "$1: ${line#not ok }" ;;
		*) echo "$line" ;;
		esac
	done <"$work/$1.results"
	[ "$ended" -ne 0 ] || return 0
	if kill -0 "$2" 2>/dev/null; then
		not_ok "$1: ends within its time ($(($3 * slow)) s)"
	else
		not_ok "$1: stays alive"
	fi
	show_log "$work/$1.qemu.log"
	show_log "$work/$1.console"
	return 1
}

guest_kill() { # PID
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# A web server with a CGI that answers with the sha256 of what is posted to it. Its folder is $work/www, its
# port goes to $web_port. On 127.0.0.1 it is on ::1 too: host.lwnat.internal has both addresses, and a guest takes
# IPv6 as soon as it has that.
web_start() { # ADDRESS
	mkdir -p "$work/www/cgi-bin"
	echo 'hello from the host' >"$work/www/index.html"
	cat >"$work/www/cgi-bin/sum" <<-'CGI'
		#!/bin/sh
		printf 'Content-Type: text/plain\r\n\r\n'
		head -c "$CONTENT_LENGTH" | sha256sum | cut -d ' ' -f 1
	CGI
	chmod 755 "$work/www/cgi-bin/sum"
	web_port=$(free_port)
	background "$work/web.log" busybox httpd -f -p "$1:$web_port" -h "$work/www"
	[ "$1" != 127.0.0.1 ] || background "$work/web6.log" busybox httpd -f -p "[::1]:$web_port" -h "$work/www"
}

# A file of SIZE MiB below $work/www; its sha256 is printed. Random, but text: busybox's wget posts a file as a string.
web_file() { # NAME SIZE
	head -c "$(($2 * 786432))" /dev/urandom | base64 -w 0 >"$work/www/$1"
	sha256sum "$work/www/$1" | cut -d ' ' -f 1
}

# A name server on the host's loopback that knows upstream.test; its port goes to $dns_port.
dns_start() {
	dns_port=$(free_port)
	background "$work/dns.log" "$nettool" dns 127.0.0.1 "$dns_port" upstream.test 192.0.2.77
}

# Succeeds when each of these TCP ports is listened on, and only on 127.0.0.1 and ::1.
listens_on_loopback() { # PORT...
	local port found
	for port in "$@"; do
		found=$(awk -v port="$(printf '%04X' "$port")" '$4 == "0A" && $2 ~ ":" port "$" { print $2 }' \
			/proc/net/tcp /proc/net/tcp6 2>/dev/null)
		echo "$port: $found"
		[ -n "$found" ] || return 1
		! grep -qvE '^(0100007F|00000000000000000000000001000000):' <<<"$found" || return 1
	done
}

http_get() { # PORT [PATH]
	timeout $((30 * slow)) busybox wget -q -O - "http://127.0.0.1:$1/${2:-}"
}

guest_ssh() { # PORT COMMAND...
	local port=$1
	shift
	timeout $((60 * slow)) ssh -F none -p "$port" -i "$work/key" -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@127.0.0.1 "$@" </dev/null
}

# Words put before the program under test and QEMU; see unprivileged.test.
as_user=()
