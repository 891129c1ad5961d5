#!/bin/sh
# get-lwip.sh OUT: puts lwIP 2.2.1's verified source into the folder OUT (OUT/src, OUT/verified).
#
# Taken from the first of these that has it:
#   $LWIP_DIR   a tree of your own holding src/core/tcp.c (used in place; only its version is checked)
#   the cache   ${XDG_CACHE_HOME:-~/.cache}/lwnat, or build/cache where that cannot be written
#   a mirror    of Debian or Ubuntu: the one this system's apt uses
#   upstream    the project's release archive
#   $LWIP_URL   instead of the last two: an http:, https: or file: URL of either archive
#
# An archive is used only if its content matches SRC_SHA256, whoever served it. Nothing on the system
# is changed and no package list is touched.
set -eu
LC_ALL=C
export LC_ALL

VERSION=2.2.1
TARBALL=lwip_2.2.1+dfsg1.orig.tar.xz
TARBALL_SHA256=83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1
RELEASE=lwip-2.2.1.zip
RELEASE_URL=https://download.savannah.nongnu.org/releases/lwip/$RELEASE
# Over "sha256sum" of every file in src/core and src/include, sorted by name, line ends as LF: the
# release archive has CRLF ones. Debian's tarball and upstream's tag STABLE-2_2_1_RELEASE agree on it.
SRC_SHA256=cd7d21ccc88cdb7ab749d484522d6b3395e361184930ae86aa43cd0baa0a3192

say() {
	echo "  LWIP    $*"
}

fail() {
	echo "get-lwip: $*" >&2
	exit 1
}

choose_cache() {
	cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/lwnat
	if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
		cache=build/cache
		mkdir -p "$cache"
	fi
}

is_tarball() {
	[ -f "$1" ] && echo "$TARBALL_SHA256  $1" | sha256sum -c --status 2>/dev/null
}

use_own_tree() {
	header=$LWIP_DIR/src/include/lwip/init.h
	if [ ! -f "$LWIP_DIR/src/core/tcp.c" ] || [ ! -f "$header" ]; then
		fail "LWIP_DIR=$LWIP_DIR holds no src/core/tcp.c; give the folder of an lwIP $VERSION source tree"
	fi
	found=$(awk '$2 ~ /^LWIP_VERSION_(MAJOR|MINOR|REVISION)$/ { v = v (v == "" ? "" : ".") ($3 + 0) }
		END { print v }' "$header")
	[ "$found" = "$VERSION" ] || fail "LWIP_DIR=$LWIP_DIR is lwIP $found; lwnat needs $VERSION"
	ln -s "$(cd "$LWIP_DIR" && pwd)/src" "$work/tree/src"
	say "$LWIP_DIR (your own tree)"
}

# unpack ARCHIVE: into $work/tree, if the archive is sound and its content is what we pinned.
unpack() {
	rm -rf "$work/tree"
	mkdir "$work/tree"
	case $1 in
	*.zip)
		if command -v unzip >/dev/null; then
			unzip -qq "$1" -d "$work/tree" || return 1
		elif command -v bsdtar >/dev/null; then
			bsdtar -C "$work/tree" -xf "$1" || return 1
		else
			python3 -m zipfile -e "$1" "$work/tree" || return 1
		fi
		;;
	*)
		tar -C "$work/tree" -xJf "$1" || return 1
		;;
	esac
	mv "$work/tree"/lwip*/src "$work/tree/src" 2>/dev/null || return 1
	find "$work/tree" -mindepth 1 -maxdepth 1 ! -name src -exec rm -rf {} +
	find "$work/tree/src" -type f \( -name '*.c' -o -name '*.h' \) -exec sed -i 's/\r$//' {} +
	chmod -R u+rwX "$work/tree"
	sum=$(cd "$work/tree" && find src/core src/include -type f | sort | xargs sha256sum | sha256sum)
	[ "${sum%% *}" = "$SRC_SHA256" ] && return 0
	echo "get-lwip: $1: its content is not lwIP $VERSION's: $SRC_SHA256 wanted, ${sum%% *} found" >&2
	rm -rf "$work/tree"
	return 1
}

# fetch URL FILE: quietly, with whichever client the system has.
fetch() {
	rm -f "$2"
	case $1 in
	file://*)
		cp "${1#file://}" "$2" 2>"$work/fetch.log"
		return
		;;
	esac
	if [ -x /usr/lib/apt/apt-helper ]; then
		# As root apt would drop to a user who cannot write here.
		if /usr/lib/apt/apt-helper -o APT::Sandbox::User=root -o Acquire::Retries=2 download-file "$1" "$2" \
			>"$work/fetch.log" 2>&1 && [ -s "$2" ]; then
			return 0
		fi
	fi
	if command -v curl >/dev/null; then
		curl -fsSL --retry 2 --connect-timeout 20 -o "$2" "$1" >>"$work/fetch.log" 2>&1 && return 0
	elif command -v wget >/dev/null; then
		wget -q --tries 2 --timeout 20 -O "$2" "$1" >>"$work/fetch.log" 2>&1 && return 0
	fi
	rm -f "$2"
	return 1
}

# The archive roots of this system's apt configuration; reads it only, works with empty package lists.
apt_mirrors() {
	command -v apt-get >/dev/null || return 0
	apt-get --print-uris update 2>/dev/null |
		sed -n "s|^'\(.*\)/dists/.*|\1|p" | awk '/debian|ubuntu/ && !/security/ && !seen[$0]++'
}

urls() {
	if [ -n "${LWIP_URL:-}" ]; then
		echo "$LWIP_URL"
		return
	fi
	for mirror in $(apt_mirrors); do
		case $mirror in
		*ubuntu*) echo "$mirror/pool/universe/l/lwip/$TARBALL" ;;
		*) echo "$mirror/pool/main/l/lwip/$TARBALL" ;;
		esac
	done | awk '!seen[$0]++'
	echo "$RELEASE_URL"
}

from_cache() {
	if [ -f "$cache/$TARBALL" ]; then
		if is_tarball "$cache/$TARBALL" && unpack "$cache/$TARBALL"; then
			say "$VERSION from $cache"
			return 0
		fi
		say "$cache/$TARBALL is damaged: fetching it again"
		rm -f "$cache/$TARBALL"
	fi
	if [ -f "$cache/$RELEASE" ]; then
		if unpack "$cache/$RELEASE"; then
			say "$VERSION from $cache"
			return 0
		fi
		say "$cache/$RELEASE is damaged: fetching it again"
		rm -f "$cache/$RELEASE"
	fi
	return 1
}

from_network() {
	for url in $(urls); do
		file=$work/${url##*/}
		say "$url"
		fetch "$url" "$file" || continue
		case $file in
		*.tar.xz)
			if ! is_tarball "$file"; then
				echo "get-lwip: $url: wrong sha256, not used" >&2
				continue
			fi
			;;
		esac
		unpack "$file" || continue
		# Renamed into place, so that another build never reads half of it.
		cp "$file" "$cache/.${file##*/}.$$" && mv -f "$cache/.${file##*/}.$$" "$cache/${file##*/}"
		return 0
	done
	[ ! -s "$work/fetch.log" ] || tail -n 3 "$work/fetch.log" >&2
	fail "no verified copy of lwIP $VERSION could be had. Put $TARBALL or $RELEASE into $cache, or unpack" \
		"the release anywhere and build with LWIP_DIR=THAT-FOLDER"
}

[ $# = 1 ] || fail "usage: get-lwip.sh OUT"
out=$1
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(dirname "$out")/get-lwip.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/tree"
if [ -n "${LWIP_DIR:-}" ]; then
	use_own_tree
else
	choose_cache
	from_cache || from_network
fi
echo "$VERSION" >"$work/tree/verified"
rm -rf "$out"
mv "$work/tree" "$out"
