# shellcheck shell=dash
# A guest that has another's MAC by mistake: it only has to be heard.
ip addr add 10.0.2.77/24 dev eth0
ip link set eth0 up
ping -c 2 -W 2 10.0.2.2 >/dev/null
