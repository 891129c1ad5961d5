# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# Fetches and checks files while the guest is moved to another QEMU, until the host says stop.
t "lease" prints 'lease of 10\.0\.2\.15 obtained' lease
serve "still here"
whole=0
wrong=0
say "# up"
until wget -q -O /dev/null "http://10.0.2.2:$WEB_PORT/stop" 2>/dev/null; do
	# A transfer that the move has cut off is not counted: bytes that arrived must be right.
	rm -f /tmp/fetched
	timeout 20 wget -q -O /tmp/fetched "http://10.0.2.2:$WEB_PORT/file" || continue
	whole=$((whole + 1))
	[ "$(sum /tmp/fetched)" = "$FILE_SUM" ] || wrong=$((wrong + 1))
	say "# fetched $whole"
done
t "no byte was lost on the way ($whole files)" test "$wrong" -eq 0
t "gateway answers ping" ping -c 2 -W 5 10.0.2.2
