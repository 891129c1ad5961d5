# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# One of two guests on a network; each does to the other what the other does to it.
hostname "$NAME"
t "lease" prints 'lease of 10\.0\.2\.1[56] obtained' lease -x "hostname:$NAME"
serve "this is $NAME"
within 60 wget -q -O /srv/file "http://10.0.2.2:$WEB_PORT/file"
t "the other's DHCP name resolves" wait_for 60 nslookup -type=a "$OTHER.lwnat.internal"
t "the other's bare name resolves by the search list" nslookup -type=a "$OTHER"
t "the other answers ping by name" ping -c 3 -W 5 "$OTHER.lwnat.internal"
other_is_ready() {
	within 20 wget -q -O /tmp/sum "http://$OTHER/file.sum"
}
sum /srv/file >/srv/file.sum
t "the other's file arrives whole" wait_for 60 other_is_ready
t "its sha256" fetch_sum "http://$OTHER/file" "$FILE_SUM"
