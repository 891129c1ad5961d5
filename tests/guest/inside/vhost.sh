# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# Queue pairs; then, unless that is all (ROUND=pairs), transfers that go on while the host plugs memory in and loses
# the network's process. After the host's reset (www/reset is there) the short round.
url=http://10.0.2.2:$WEB_PORT

# The packets that the driver's counter DIRECTION, QUEUE has seen; kernels name it differently.
packets() { # DIRECTION QUEUE
	nettool packets eth0 | sed -n "s/^$1\(_queue_\)*\(_q\)*$2_packets //p"
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
queues_work
[ "$ROUND" != pairs ] || return 0
whole=0
wrong=0
say "# queues"
until wget -q -O /dev/null "$url/stop" 2>/dev/null; do
	# A transfer that is cut off is not counted: bytes that arrived must be right.
	rm -f /tmp/fetched
	timeout 5 wget -q -O /tmp/fetched "$url/file" || continue
	whole=$((whole + 1))
	[ "$(sum /tmp/fetched)" = "$FILE_SUM" ] || wrong=$((wrong + 1))
	say "# fetched $whole, memory +$((($(memory_kb) - memory_before) / 1024)) MiB"
done
t "no byte was lost on the way ($whole files)" test "$wrong" -eq 0
t "upload out of memory that was plugged in, sha256" post_sum "$url/cgi-bin/sum" /tmp/fetched
say "# stopped"
sleep 60 # the reset comes before
