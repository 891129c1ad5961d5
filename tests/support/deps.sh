#!/bin/bash
# deps.sh [--no-install] SECTION...: sees to it that the packages of these sections of packages.txt are
# there. Missing ones are installed through apt-get, as root or with sudo; where that cannot be done, one
# message lists them and the exit status is 1. With nothing missing, nothing but the probes is run.
set -u

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
install=1
if [ "${1:-}" = --no-install ]; then
	install=
	shift
fi
wanted=" $* "
table=$(dirname "$0")/packages.txt

present() {
	local what=${1#*:}
	case $1 in
	cmd:*) command -v "$what" >/dev/null ;;
	pc:*) "${PKG_CONFIG:-pkg-config}" --exists "$what" 2>/dev/null ;;
	static:*) command -v "$what" >/dev/null && [[ $(ldd "$(command -v "$what")" 2>&1) != *"=>"* ]] ;;
	cc:*) echo '#include <stdio.h>
int main(void){return puts("") < 0;}' | "${CC:-cc}" "$what" -x c -o /dev/null - 2>/dev/null ;;
	file:*) have_file "$what" || ! command -v apt-get >/dev/null ;;
	lists:*) [ -e "$what" ] || ! command -v apt-get >/dev/null || have_lists ;;
	*) echo "deps.sh: packages.txt: unknown probe $1" >&2 && exit 2 ;;
	esac
}

have_file() { # GLOB[|GLOB...]
	local IFS='|' glob
	for glob in $1; do
		! compgen -G "$glob" >/dev/null || return 0
	done
	return 1
}

have_lists() {
	compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null
}

# Sets debian, fedora, arch, alpine: the packages of what is missing.
find_missing() {
	local section probe d f a l
	debian='' fedora='' arch='' alpine='' missing=0 need_lists=
	while read -r section probe d f a l; do
		if [[ $section = '#'* || -z $section || $wanted != *" $section "* ]] || present "$probe"; then
			continue
		fi
		missing=$((missing + 1))
		[[ $probe != lists:* ]] || need_lists=1
		add debian "$d"
		add fedora "$f"
		add arch "$a"
		add alpine "$l"
	done <"$table"
}

add() { # VARIABLE PACKAGE
	local -n list=$1
	[[ $2 = - || " $list " = *" $2 "* ]] || list="${list:+$list }$2"
}

# Sets as_root to the command that makes us root; fails when there is none.
find_root() {
	as_root=
	if [ "$(id -u)" -eq 0 ]; then
		return 0
	elif ! command -v sudo >/dev/null; then
		why='you are not root and there is no sudo'
	elif sudo -n true 2>/dev/null; then
		as_root='sudo -n'
		return 0
	elif [ -t 0 ] && [ "${CI:-}" != true ]; then
		as_root=sudo
		return 0
	else
		why='sudo wants a password and there is no terminal to ask on'
	fi
	return 1
}

print_missing() {
	local ids
	# shellcheck disable=SC1091
	ids=$(. /etc/os-release 2>/dev/null && echo " ${ID:-} ${ID_LIKE:-} ")
	{
		echo "lwnat: packages are missing (for:${wanted% }) and $why. Please install them:"
		case $ids in
		*' debian '* | *' ubuntu '*) print_debian ;;
		*' fedora '* | *' rhel '*) echo "  dnf install $fedora" ;;
		*' arch '*) echo "  pacman -S --needed $arch" ;;
		*' alpine '*) echo "  apk add $alpine" ;;
		*)
			print_debian
			echo "  dnf install $fedora"
			echo "  pacman -S --needed $arch"
			echo "  apk add $alpine"
			;;
		esac
	} >&2
}

print_debian() {
	have_lists || echo "  apt-get update"
	[ -z "$debian" ] || echo "  apt-get install $debian"
}

# Quiet while it goes well. A machine just booted may hold dpkg's lock for its own updates.
run_apt() {
	# shellcheck disable=SC2086 # as_root is a command with its option, or nothing
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" \
		</dev/null >"$apt_log" 2>&1 && return 0
	tail -n 20 "$apt_log" >&2
	return 1
}

install_missing() {
	local updated=
	if [ -n "$need_lists" ] || ! have_lists; then
		echo "  APT     update"
		run_apt update || return 1
		updated=1
	fi
	[ -n "$debian" ] || return 0
	echo "  APT     install $debian"
	# shellcheck disable=SC2086 # a list of names
	if run_apt install -y --no-install-recommends $debian; then
		return 0
	fi
	# The lists may be too old for what the mirror still has.
	# shellcheck disable=SC2086
	[ -z "$updated" ] && run_apt update && run_apt install -y --no-install-recommends $debian
}

find_missing
[ $missing -gt 0 ] || exit 0
if [ -z "$install" ]; then
	why='nothing is installed by this target'
elif ! command -v apt-get >/dev/null; then
	why='there is no apt-get here'
elif find_root; then
	apt_log=$(mktemp) || exit 1
	trap 'rm -f "$apt_log"' EXIT
	if install_missing; then
		find_missing
		[ $missing -gt 0 ] || exit 0
		why='are still not found after installing'
	else
		why='apt-get failed (its message is above)'
	fi
fi
print_missing
exit 1
