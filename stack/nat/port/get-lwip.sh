#!/bin/sh
# Placeholder: takes LWIP_DIR, or the tarball in the cache folder.
set -eu
out=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lwnat
rm -rf "$out"
mkdir -p "$out"
if [ -n "${LWIP_DIR:-}" ]; then
	cp -a "$LWIP_DIR/src" "$out/"
else
	tar -C "$out" --strip-components=1 -xJf "$cache/lwip_2.2.1+dfsg1.orig.tar.xz"
fi
touch "$out/verified"
