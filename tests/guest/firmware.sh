# shellcheck shell=bash disable=SC2034,SC2154 # variables are for, and from, the scripts that source this
# Boot firmware as guests: what it loads from 'lwnat --boot', seen on its serial console. Sourced after lib.sh.

first_file() { # GLOB...
	local found
	for found in "$@"; do
		[ ! -e "$found" ] || { echo "$found" && return 0; }
	done
	return 1
}

ovmf=$(first_file /usr/share/OVMF/OVMF_CODE.fd /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/edk2/ovmf/OVMF_CODE.fd \
	/usr/share/edk2/x64/OVMF_CODE*.fd)
uboot_arm=$(first_file /usr/lib/u-boot/qemu_arm/u-boot.bin /usr/share/u-boot/qemu_arm/u-boot.bin)
uboot_arm64=$(first_file /usr/lib/u-boot/qemu_arm64/u-boot.bin /usr/share/u-boot/qemu_arm64/u-boot.bin)
grub_pc=$(first_file /usr/lib/grub/i386-pc)
grub_efi=$(first_file /usr/lib/grub/x86_64-efi)
token=token-$RANDOM$RANDOM

# Other systems than Debian may have no such package.
have() { # WHAT FILE
	[ -n "$2" ] || echo "# skipped: $1 is not installed"
	[ -n "$2" ]
}

# A directory to boot from with a file of 3 MB; its sums go to $big_sum and $big_crc.
boot_dir() { # DIR
	mkdir -p "$1"
	head -c 3000000 /dev/urandom >"$1/big.bin"
	big_sum=$(sha256sum "$1/big.bin" | cut -d ' ' -f 1)
	big_crc=$(gzip -c "$1/big.bin" | tail -c 8 | head -c 4 | od -An -tx4 | tr -d ' ')
}

# For iPXE: the first script by TFTP, the second one by HTTP.
boot_scripts() { # DIR
	cat >"$1/boot.ipxe" <<-'SCRIPT'
		#!ipxe
		echo script ${filename} of ${next-server}
		imgfetch --name by-tftp tftp://${next-server}/big.bin
		imgfetch --name by-http http://${next-server}/big.bin
		imgstat
		chain http://${next-server}/second.ipxe
	SCRIPT
	printf '#!ipxe\necho second %s\necho The console may lose the last line.\nreboot\n' "$token" >"$1/second.ipxe"
}

# For UEFI: a GRUB that says $token, reads the file by both protocols over both families, and reboots.
boot_efi() { # DIR
	cat >"$work/early.cfg" <<-CONFIG
		serial --unit=0 --speed=115200
		terminal_output serial
		echo $token
		net_bootp
		sha256sum (tftp,10.0.2.2)/big.bin
		sha256sum (http,10.0.2.2)/big.bin
		net_ipv6_autoconf
		sha256sum (tftp,fec0::2)/big.bin
		sha256sum (http,[fec0::2])/big.bin
		echo grub-done
		reboot
	CONFIG
	grub-mkimage -O x86_64-efi -d "$grub_efi" -o "$1/bootx64.efi" -c "$work/early.cfg" -p /boot \
		echo reboot serial terminal net efinet tftp http hashsum gcry_sha256
}

# GRUB's own directories for network boot, and a menu that does the same over IPv4.
boot_grub() { # DIR
	local platform
	for platform in "$grub_pc" "$grub_efi"; do
		[ -z "$platform" ] || grub-mknetdir --net-directory="$1" --subdir=boot/grub -d "$platform" || return
	done
	cat >"$1/boot/grub/grub.cfg" <<-CONFIG
		serial --unit=0 --speed=115200
		terminal_output serial
		echo $token \$grub_platform
		sha256sum /big.bin
		sha256sum (http,\$net_default_server)/big.bin
		echo grub-done
		reboot
	CONFIG
}

# Starts a machine on $sockets/NET.sock; its pid goes to $fw_pid.
firmware() { # NAME NET MAC NIC QEMU [OPTION...]
	local name=$1 net=$2 mac=$3 nic=$4
	shift 4
	: >"$work/$name.console"
	background "$work/$name.qemu.log" "${as_user[@]}" "$@" -accel tcg -display none -monitor none -nodefaults -no-reboot \
		-netdev "stream,id=net0,server=off,addr.type=unix,addr.path=$sockets/$net.sock" \
		-device "$nic,netdev=net0,mac=$mac"
	fw_pid=$last_pid
}

pc_bios() { # NAME NET MAC
	firmware "$1" "$2" "$3" virtio-net-pci qemu-system-x86_64 -M pc,graphics=off -m 256 -boot n -serial "file:$work/$1.console"
}

# Without the card's ROM it is the firmware's own PXE and HTTP that boots. WHAT leaves it only that way.
uefi() { # NAME NET MAC pxe4|pxe6|http
	local off=(-fw_cfg 'name=opt/org.tianocore/IPv4PXESupport,string=no')
	case $4 in
	pxe4) off=() ;;
	http) off+=(-fw_cfg 'name=opt/org.tianocore/IPv6PXESupport,string=no') ;;
	esac
	firmware "$1" "$2" "$3" virtio-net-pci,romfile= qemu-system-x86_64 -M q35 -m 256 -boot n \
		-drive "if=pflash,format=raw,readonly=on,file=$ovmf" -serial "file:$work/$1.console" "${off[@]}"
}

# The machine reboots at the end of its script, which ends QEMU.
firmware_wait() { # NAME PID SECONDS
	t "$1: runs to its end" wait_for "$3" has_ended "$2"
	guest_kill "$2"
}

# What the console showed, without its escape sequences.
console() { # NAME
	tr -d '\r' <"$work/$1.console" | sed 's/\x1b\[[0-9;=]*[A-Za-z]//g; s/\x08//g'
}

shows() { # NAME REGEX
	console "$1" | tail -n 40
	console "$1" | grep -aEq "$2"
}

shows_times() { # NAME REGEX COUNT
	console "$1" | tail -n 40
	[ "$(console "$1" | grep -aEc "$2")" -eq "$3" ]
}

# It counts down two seconds in which a key stops it: a busy host may see them only when they are over, so keys come
# all the time.
uboot_is_stopped() { # NAME
	echo >&5
	grep -aq '^=> ' "$work/$1.console"
}

# U-Boot takes commands: it would read them too early while it is busy.
uboot() { # NAME NET MAC QEMU MACHINE-OPTION... : the last words are QEMU's
	local name=$1 net=$2 mac=$3
	shift 3
	mkfifo "$work/$name.in" "$work/$name.out"
	exec 5<>"$work/$name.in"
	uboot_prompts=0
	firmware "$name" "$net" "$mac" virtio-net-pci "$@" -chardev "pipe,id=console,path=$work/$name" -serial chardev:console
	local pid=$fw_pid
	background "$work/$name.console" cat "$work/$name.out"
	fw_pid=$pid
	wait_for 60 grep -aq '^U-Boot' "$work/$name.console"
	wait_for 60 uboot_is_stopped "$name"
	# Each key was an empty line, and has a prompt of its own.
	echo 'echo in step' >&5
	wait_for 60 grep -aq '^in step' "$work/$name.console"
	uboot_prompts=$(sed '/^in step/q' "$work/$name.console" | grep -ac '^=> ')
}

uboot_is_ready() { # NAME
	[ "$(grep -ac '^=> ' "$work/$1.console")" -gt "$uboot_prompts" ]
}

uboot_say() { # NAME COMMAND
	wait_for 60 uboot_is_ready "$1"
	uboot_prompts=$((uboot_prompts + 1))
	echo "$2" >&5
}

uboot_session() { # NAME LOAD-ADDRESS
	uboot_say "$1" 'setenv autoload no'
	uboot_say "$1" dhcp
	uboot_say "$1" "tftpboot $2 big.bin"
	uboot_say "$1" "crc32 $2 \$filesize"
	uboot_say "$1" reset
}
