# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# A folder of the host, as the kernel's SMB client sees it.
loaded=1
while [ "$loaded" = 1 ]; do
	loaded=0
	for module in /modules/smb/*.ko; do
		[ -e "$module" ] && insmod "$module" 2>/run/insmod && rm "$module" && loaded=1
	done
done
t "the kernel has an SMB client" grep -qw cifs /proc/filesystems
t "lease" prints 'lease of 10\.0\.2\.15 obtained' lease
mkdir -p /mnt
mount_share() { # VERSION WHO
	umount /mnt 2>/dev/null
	within 60 mount -t cifs -o "$2,vers=$1" //10.0.2.4/qemu /mnt || {
		dmesg | tail -n 5
		return 1
	}
}
t "SMB 2.1 mounts" mount_share 2.1 username=somebody,password=anything
t "its file reads" prints '^hello from the folder$' cat /mnt/hello.txt
t "SMB 3.1.1 mounts" mount_share 3.1.1 sec=none
t "the folder lists" prints '^hello.txt$' ls /mnt
t "8 MiB read, sha256" test "$(sum /mnt/big)" = "$BIG_SUM"
write_some() {
	echo 'written by the guest' >/mnt/written.txt && cp /mnt/big /mnt/copy &&
		echo x >/mnt/gone.txt && rm /mnt/gone.txt && sync
}
t "files are written and removed" write_some
t "a link out of the folder leads nowhere" eval '! cat /mnt/out'
t "a link to above the folder leads nowhere" eval '! cat /mnt/up'
t "the mount ends" umount /mnt
t "SMB 3.0 mounts, and stays" mount_share 3.0 sec=none
t "the old session port serves too" within 10 nc -w 30 10.0.2.4 139 </dev/null
t "another port of that address is refused" refused 10.0.2.4 80
shout() {
	echo "$1" | within 10 nc 10.0.2.100 7
}
t "a command answers a guest's connection" prints '^HELLO$' shout hello
t "and the next" prints '^AGAIN$' shout again
