#!/bin/bash
# Makes the guests of the rows that have a real one.
#
#     mkguest.sh OUT BIN     OUT gets initramfs, vmlinuz (for QEMU) and linux.uml (User-Mode Linux); BIN has load and pump
#
# Both are kernels of the distribution's, unpacked and never installed; one initramfs serves both. What cannot be had is
# left out with a word why. A second run does nothing, and needs no network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: mkguest.sh OUT BIN}
bin=${2:?usage: mkguest.sh OUT BIN}
programs="iperf3 $bin/load $bin/pump"
# Of User-Mode Linux; QEMU's are those of tests/guest.
modules="failover net_failover virtio_net tcp_bbr"

say() {
	echo "mkguest: $*" >&2
}

# The kernel and the modules that the guest tests boot.
make_pc() {
	local from=$here/../../build/guest
	"$here/../guest/mkguest.sh" "$from" >&2 || return 1
	cp "$from/kernel/vmlinuz" "$out/vmlinuz"
	mkdir -p "$out/modules/pc"
	cp "$from"/kernel/*.ko "$out/modules/pc/"
}

make_uml() {
	local unpacked=$out/unpacked name
	rm -rf "$unpacked"
	mkdir -p "$unpacked" "$out/modules/uml"
	(cd "$unpacked" && apt-get -qq download user-mode-linux >apt.log 2>&1) || {
		say "'apt-get download user-mode-linux': $(tail -n 1 "$unpacked/apt.log" 2>/dev/null)"
		return 1
	}
	dpkg-deb -x "$unpacked"/user-mode-linux_*.deb "$unpacked"
	for name in $modules; do
		find "$unpacked/usr/lib/uml" -name "$name.ko" -exec cp {} "$out/modules/uml/" \;
	done
	cp "$unpacked/usr/bin/linux.uml" "$out/linux.uml"
	rm -rf "$unpacked"
}

make_root() { # ROOT
	local root=$1 program library
	mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/etc"
	cp "$(command -v busybox)" "$root/bin/busybox"
	for program in $programs; do
		cp "$(command -v "$program")" "$root/bin/"
		for library in $(ldd "$(command -v "$program")" | grep -o '/[^ ]*'); do
			mkdir -p "$root$(dirname "$library")"
			cp -L "$library" "$root$library"
		done
	done
	cp -r "$out/modules" "$root/"
	cp "$here/guest-init" "$root/init"
	chmod 755 "$root/init"
}

make_initramfs() {
	rm -rf "$out/root"
	make_root "$out/root"
	(cd "$out/root" && find . | LC_ALL=C sort | cpio -o -H newc -R +0:+0 --quiet) >"$out/initramfs.new"
	mv "$out/initramfs.new" "$out/initramfs"
	rm -rf "$out/root"
}

# What the image is made of.
inputs() {
	local program
	sha256sum "$here/mkguest.sh" "$here/guest-init" "$(command -v busybox)"
	for program in $programs; do
		sha256sum "$(command -v "$program")"
	done
	ls "$out"/modules/*/ "$out"/vmlinuz "$out"/linux.uml 2>/dev/null
}

PATH=$PATH:/usr/sbin:/sbin
for program in busybox cpio iperf3; do
	command -v "$program" >/dev/null || {
		say "$program is missing"
		exit 1
	}
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/lock"
flock 9
[ -e "$out/vmlinuz" ] || make_pc 9>&- || say "no guest for QEMU"
[ -e "$out/linux.uml" ] || make_uml 9>&- || say "no User-Mode Linux"
[ "$(cat "$out/stamp" 2>/dev/null)" = "$(inputs)" ] || {
	make_initramfs
	inputs >"$out/stamp"
}
