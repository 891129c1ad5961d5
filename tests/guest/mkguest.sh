#!/bin/bash
# Makes the guest that the tests and the demo boot: an unmodified distribution kernel and an initramfs with
# busybox, dropbear and our nettool.
#
#     mkguest.sh OUT      OUT gets vmlinuz, initramfs and nettool (OUT is normally build/guest)
#
# The kernel package is downloaded and unpacked, never installed; nothing here needs root. A second run does
# nothing, and needs no network. GUEST_KERNEL=/path/vmlinuz with GUEST_MODULES=/lib/modules/VERSION takes
# another kernel instead.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: mkguest.sh OUT}

# What a kernel has built in is not in its package as a file, and is not missed.
modules="virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover
virtio_net e1000 mii 8139cp 8139too pcnet32 8390 ne2k-pci qemu_fw_cfg"
# Loaded by smb.sh alone.
smb_modules="cifs cifs_arc4 cifs_md4 netfs fscache dns_resolver cmac sha512_generic ecb ctr ccm gcm ghash-generic
gf128mul crypto_null geniv seqiv nls_utf8 nls_ucs2_utils"

say() {
	echo "mkguest: $*" >&2
}

die() {
	say "$*"
	exit 1
}

need() { # COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || die "$1 is missing: install the package $2"
}

# Prints the real packages behind the distribution's newest kernel (Ubuntu keeps the modules in a package of their own).
kernel_packages() {
	local meta image
	for meta in linux-image-amd64 linux-image-generic; do
		image=$(apt-cache depends "$meta" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
		[ -n "$image" ] || continue
		echo "$image"
		apt-cache depends "$image" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-modules-[0-9]/ { print $2 }'
		return 0
	done
	return 1
}

# Fetches and unpacks the kernel's packages below $1. 1: this system cannot.
fetch_kernel() {
	local dir=$1 package packages
	command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 1
	packages=$(kernel_packages) || return 1
	for package in $packages; do
		say "downloading $package"
		(cd "$dir" && apt-get -qq download "$package" >apt.log 2>&1) || {
			cat "$dir/apt.log" >&2
			return 1
		}
	done
	for package in "$dir"/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -x -C "$dir" --wildcards \
			'./boot/vmlinuz-*' './*lib/modules/*/kernel/drivers/net/*' './*lib/modules/*/kernel/drivers/virtio/*' \
			'./*lib/modules/*/kernel/drivers/firmware/*' './*lib/modules/*/kernel/net/core/*' \
			'./*lib/modules/*/kernel/fs/*' './*lib/modules/*/kernel/crypto/*' './*lib/modules/*/kernel/lib/*' \
			'./*lib/modules/*/kernel/net/dns_resolver/*' './*lib/modules/*/modules.builtin' 2>"$dir/tar.log" || true
	done
	[ ! -d "$dir/usr/lib/modules" ] || mv "$dir/usr/lib" "$dir/lib" # where Debian 13 has them
	[ -n "$(find "$dir/boot" -name 'vmlinuz-*' 2>/dev/null)" ]
}

# Copies those of the modules NAMES that are in a tree to a folder.
take_modules() { # DIR MODULE-TREE NAMES
	local dir=$1 tree=$2 names=$3 name file
	mkdir -p "$dir"
	for name in $names; do
		file=$(find "$tree" -name "$name.ko" -o -name "$name.ko.xz" -o -name "$name.ko.zst" -o -name "$name.ko.gz" | head -n 1)
		case $file in
		'') continue ;;
		*.xz) xz -dc "$file" >"$dir/$name.ko" ;;
		*.zst) zstd -qdc "$file" >"$dir/$name.ko" ;;
		*.gz) gzip -dc "$file" >"$dir/$name.ko" ;;
		*) cp "$file" "$dir/$name.ko" ;;
		esac
	done
}

# Copies a kernel and the modules we want from it to $1.
take_kernel() { # DIR VMLINUZ MODULE-TREE
	local dir=$1 kernel=$2 tree=$3
	cp "$kernel" "$dir/vmlinuz"
	take_modules "$dir" "$tree" "$modules"
	take_modules "$dir/smb" "$tree" "$smb_modules"
	[ -e "$dir/virtio_net.ko" ] || grep -qs '/virtio_net.ko' "$tree"/modules.builtin "$tree"/*/modules.builtin ||
		die "the kernel $kernel has no virtio_net module in $tree"
	chmod 644 "$dir/vmlinuz"
}

make_kernel() {
	local new=$out/kernel.new.$$ version
	rm -rf "$out"/kernel.new.* # of runs that failed; we hold the lock
	mkdir -p "$new/unpack"
	version=$(uname -r)
	if [ -n "${GUEST_KERNEL:-}" ]; then
		take_kernel "$new" "$GUEST_KERNEL" "${GUEST_MODULES:?GUEST_KERNEL needs GUEST_MODULES beside it}"
	elif fetch_kernel "$new/unpack"; then
		take_kernel "$new" "$(find "$new/unpack/boot" -name 'vmlinuz-*' | head -n 1)" "$new/unpack/lib/modules"
	elif [ -r "/boot/vmlinuz-$version" ] && [ -d "/lib/modules/$version" ]; then
		say "no kernel package can be downloaded; taking this machine's own, $version"
		take_kernel "$new" "/boot/vmlinuz-$version" "/lib/modules/$version"
	else
		rm -rf "$new"
		die "no kernel to boot: 'apt-get download linux-image-amd64' is not possible here (try 'apt-get update')" \
			"and /boot/vmlinuz-$version cannot be read. Set GUEST_KERNEL=/path/vmlinuz and" \
			"GUEST_MODULES=/lib/modules/VERSION."
	fi
	rm -rf "$new/unpack" "$out/kernel"
	mv "$new" "$out/kernel"
}

copy_with_libraries() { # PROGRAM TARGET-DIR ROOT
	local library
	cp "$(command -v "$1")" "$3$2/"
	for library in $(ldd "$(command -v "$1")" | grep -o '/[^ ]*'); do
		mkdir -p "$3$(dirname "$library")"
		cp -L "$library" "$3$library"
	done
}

make_root() { # ROOT
	local root=$1
	mkdir -p "$root/bin" "$root/sbin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/run" "$root/root" \
		"$root/etc/udhcpc" "$root/etc/dropbear" "$root/modules" "$root/guest"
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$out/nettool" "$root/bin/nettool"
	copy_with_libraries dropbear /sbin "$root"
	copy_with_libraries dropbearkey /sbin "$root"
	copy_with_libraries scp /bin "$root"
	cp -r "$out"/kernel/*.ko "$out/kernel/smb" "$root/modules/"
	cp "$here/inside/init" "$root/init"
	cp "$here/inside/lib.sh" "$root/guest/lib.sh"
	cp "$here/inside/udhcpc.script" "$root/etc/udhcpc/default.script"
	echo 'root::0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	echo '/bin/sh' >"$root/etc/shells"
	chmod 755 "$root/init" "$root/etc/udhcpc/default.script"
	chmod 700 "$root/root"
}

make_initramfs() {
	local root=$out/root.$$
	rm -rf "$root"
	make_root "$root"
	(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R +0:+0 --quiet) >"$out/initramfs.new"
	mv "$out/initramfs.new" "$out/initramfs"
	rm -rf "$root"
}

# What the image is made of, in one line each.
inputs() {
	(cd "$here" && sha256sum mkguest.sh nettool*.[ch] inside/init inside/lib.sh inside/udhcpc.script)
	sha256sum "$(command -v busybox)" "$(command -v dropbear)" "$(command -v scp)" "$out/kernel/vmlinuz"
	find "$out/kernel" -name '*.ko' | LC_ALL=C sort | xargs sha256sum
	echo "kernel ${GUEST_KERNEL:-}"
}

PATH=$PATH:/usr/sbin:/sbin
need busybox busybox-static
need dropbear dropbear-bin
need dropbearkey dropbear-bin
need scp openssh-client
need cpio cpio
case $(ldd "$(command -v busybox)" 2>&1) in
*'not a dynamic'*) ;;
*) die "busybox is not a static program: install the package busybox-static" ;;
esac

mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/lock"
flock 9
[ "$(cat "$out/kernel/from" 2>/dev/null)" = "from ${GUEST_KERNEL:-package}: $modules $smb_modules" ] || {
	make_kernel
	echo "from ${GUEST_KERNEL:-package}: $modules $smb_modules" >"$out/kernel/from"
}
if [ "$(cat "$out/stamp" 2>/dev/null)" != "$(inputs)" ] || [ ! -e "$out/initramfs" ]; then
	${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -o "$out/nettool" "$here"/nettool*.c 9>&-
	make_initramfs
	inputs >"$out/stamp"
	say "made $out/initramfs ($(($(stat -c %s "$out/initramfs") / 1024)) KiB)"
fi
