# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# A guest of 'lwnat run': what the host does with it comes later.
t "udhcpc obtains the first lease of the range" prints "lease of 192.168.31.100 obtained" lease -x hostname:guest
t "gateway answers ping" ping -c 1 -W 5 192.168.31.2
t "host.lwnat.internal resolves" prints 'Address.*: 192\.168\.31\.2$' nslookup -type=a host.lwnat.internal
serve "hello through lwnat run"
