# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# Queue pairs; then, unless that is all (ROUND=pairs), transfers that go on while the host plugs memory in and loses
# the network's process. After the host's reset (www/reset is there) the short round.
url=http://10.0.2.2:$WEB_PORT

# The packets that a queue has seen.
packets() { # DIRECTION QUEUE
	nettool packets eth0 | sed -n "s/^$1 $2 //p"
}

carries() { # DIRECTION QUEUE
	carried=$(packets "$1" "$2")
	echo "$1 $2: $carried"
	[ "$carried" -ge 20 ]
}

# Runs a command of this file or lib.sh on one processor: its queue transmits.
on_processor() { # NUMBER COMMAND...
	taskset -p $((1 << $1)) $$
	shift
	"$@"
	status=$?
	taskset -p $(((1 << PAIRS) - 1)) $$
	return $status
}

queues_work() {
	t "the driver uses all queue pairs" prints "^$PAIRS of $PAIRS" nettool pairs eth0
	for queue in $(seq 0 $((PAIRS - 1))); do
		t "download on processor $queue, sha256" on_processor "$queue" fetch_sum "$url/file" "$FILE_SUM"
		t "upload on processor $queue, sha256" on_processor "$queue" post_sum "$url/cgi-bin/sum" /tmp/fetched
	done
	for queue in $(seq 0 $((PAIRS - 1))); do
		t "transmit queue $queue carries frames" carries tx "$queue"
		t "receive queue $queue carries frames" carries rx "$queue"
	done
	t "all but one pair are taken out of use" nettool pairs eth0 1
	t "with one pair: download, sha256" fetch_sum "$url/file" "$FILE_SUM"
	t "and put to use again" nettool pairs eth0 "$PAIRS"
	t "with all again: download, sha256" fetch_sum "$url/file" "$FILE_SUM"
}

# Virtio features that the driver has accepted, by their number (virtio 1.2 sections 5.1.3 and 6).
negotiated() { # BIT...
	accepted=$(cat /sys/class/net/eth0/device/features)
	echo "$accepted"
	for bit; do
		[ "$(printf %s "$accepted" | cut -c $((bit + 1)))" = 1 ] || {
			echo "bit $bit is not set"
			return 1
		}
	done
}

# Frames that the driver has seen in a direction, on all queues.
frames() { # DIRECTION
	nettool packets eth0 | awk -v way="$1" '$1 == way { n += $3 } END { print n }'
}

# 40 datagrams that leave the socket in one piece come back; in one piece as well where the card takes part.
row_of_datagrams() { # ADDRESS
	sent=$(frames tx)
	got=$(frames rx)
	nettool bulk-ask "$1" "$BULK_PORT" || return 1
	sent=$(($(frames tx) - sent))
	got=$(($(frames rx) - got))
	echo "$sent frames out, $got in"
	if [ "$USO" = 1 ]; then
		[ "$sent" -lt 20 ] && [ "$got" -lt 20 ]
	else
		[ "$sent" -ge 40 ]
	fi
}

has_address6() {
	ip -6 addr show dev eth0 | grep -q 'inet6 fec0:' && ! ip -6 addr show dev eth0 | grep -q tentative
}

# QEMU 8.2 and newer know of it (10.0 does not offer it over vhost-user), Linux since 6.2.
rows_of_datagrams() {
	USO=0
	case $(cut -c 55-57 /sys/class/net/eth0/device/features) in
	000) say "# skipped: QEMU or the guest's kernel has no segmentation of UDP over vhost-user" ;;
	*)
		USO=1
		t "rows of UDP datagrams go both ways in one frame" negotiated 54 55 56
		;;
	esac
	t "a row of datagrams and its echo, IPv4" row_of_datagrams 10.0.2.2
	t "the kernel makes itself an address" wait_for 20 has_address6
	t "a row of datagrams and its echo, IPv6" row_of_datagrams fec0::2
}

memory_kb() {
	sed -n 's/^MemTotal: *\([0-9]*\) .*/\1/p' /proc/meminfo
}

# Memory that comes is used at once, and for the kernel's own needs such as network buffers.
echo online_kernel >/sys/devices/system/memory/auto_online_blocks
t "lease" prints 'lease of 10\.0\.2\.15 obtained' lease
if wget -q -O /dev/null "$url/reset"; then
	t "after a reset: download, sha256" fetch_sum "$url/file" "$FILE_SUM"
	t "after a reset: upload, sha256" post_sum "$url/cgi-bin/sum" /tmp/fetched
	t "after a reset: gateway answers ping" ping -c 2 -W 5 10.0.2.2
	return 0
fi
memory_before=$(memory_kb)
t "checksums are left out, both ways" negotiated 0 1
t "large segments go both ways, with ECN" negotiated 7 8 9 11 12 13
t "buffers are merged; the MTU, the MAC and the link's state are told" negotiated 15 3 5 16
t "there is a control queue, and several pairs" negotiated 17 22
t "a guest that was moved is announced" negotiated 21
t "rings have events and indirect tables; virtio 1" negotiated 29 28 32
rows_of_datagrams
queues_work
[ "$ROUND" != pairs ] || return 0
whole=0
wrong=0
say "# queues"
until wget -q -O /dev/null "$url/stop" 2>/dev/null; do
	# A transfer that is cut off is not counted: bytes that arrived must be right.
	rm -f /tmp/fetched
	timeout 10 wget -q -O /tmp/fetched "$url/file" || continue
	whole=$((whole + 1))
	[ "$(sum /tmp/fetched)" = "$FILE_SUM" ] || wrong=$((wrong + 1))
	say "# fetched $whole, memory +$((($(memory_kb) - memory_before) / 1024)) MiB"
done
t "no byte was lost on the way ($whole files)" test "$wrong" -eq 0
t "upload out of memory that was plugged in, sha256" post_sum "$url/cgi-bin/sum" /tmp/fetched
say "# stopped"
sleep 600 # the reset comes before
