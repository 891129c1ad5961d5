/* Which file of a boot directory a client is told. */
#include "stack/app/boot_menu.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

/* The directory: names between bars. */
static const char *names;

static bool exists(void *ctx, const char *name)
{
	char barred[64];

	(void)ctx;
	snprintf(barred, sizeof(barred), "|%s|", name);
	return strstr(names, barred) != NULL;
}

static struct boot_menu menu = {
    .exists = exists, .pxe_prefix = "", .http_prefix = "http://10.0.2.2/", .bootfile = ""};

static void assert_told(enum dhcpd_boot_client kind, int arch, const char *file)
{
	struct boot_client client = {kind, arch};
	char got[BOOT_FILE_MAX];

	boot_menu_choose(&menu, &client, got);
	ck_assert_msg(strcmp(got, file) == 0, "kind %d arch %d in %s: '%s', not '%s'", kind, arch,
		      names, got, file);
}

START_TEST(test_each_architecture_gets_its_own)
{
	names = "|pxelinux.0|bootx64.efi|bootia32.efi|bootarm.efi|bootaa64.efi|bootriscv64.efi|"
		"bootloongarch64.efi|boot.scr.uimg|";
	assert_told(DHCPD_BOOT_PXE, 0, "pxelinux.0");
	assert_told(DHCPD_BOOT_PXE, 6, "bootia32.efi");
	assert_told(DHCPD_BOOT_PXE, 7, "bootx64.efi");
	assert_told(DHCPD_BOOT_PXE, 9, "bootx64.efi");
	assert_told(DHCPD_BOOT_PXE, 10, "bootarm.efi");
	assert_told(DHCPD_BOOT_PXE, 11, "bootaa64.efi");
	assert_told(DHCPD_BOOT_PXE, 21, "boot.scr.uimg");
	assert_told(DHCPD_BOOT_PXE, 22, "boot.scr.uimg");
	assert_told(DHCPD_BOOT_PXE, 27, "bootriscv64.efi");
	assert_told(DHCPD_BOOT_PXE, 39, "bootloongarch64.efi");
	assert_told(DHCPD_BOOT_PXE, 12, "");
	assert_told(DHCPD_BOOT_PXE, 65535, "");
	assert_told(DHCPD_BOOT_PXE, DHCPD_ARCH_ANY, "");
}
END_TEST

START_TEST(test_http_clients_get_a_url)
{
	names = "|bootx64.efi|bootaa64.efi|";
	assert_told(DHCPD_BOOT_HTTP, 16, "http://10.0.2.2/bootx64.efi");
	assert_told(DHCPD_BOOT_HTTP, 19, "http://10.0.2.2/bootaa64.efi");
	assert_told(DHCPD_BOOT_HTTP, 15, "");
}
END_TEST

START_TEST(test_first_name_that_is_there_counts)
{
	names = "|grubx64.efi|boot/grub/x86_64-efi/core.efi|boot/grub/i386-pc/core.0|";
	assert_told(DHCPD_BOOT_PXE, 7, "grubx64.efi");
	assert_told(DHCPD_BOOT_PXE, 0, "boot/grub/i386-pc/core.0");
	names = "|EFI/BOOT/BOOTX64.EFI|grubx64.efi|ipxe.efi|";
	assert_told(DHCPD_BOOT_PXE, 7, "EFI/BOOT/BOOTX64.EFI");
	names = "||";
	assert_told(DHCPD_BOOT_PXE, 7, "");
}
END_TEST

START_TEST(test_ipxe_is_not_told_of_ipxe_again)
{
	names = "|undionly.kpxe|ipxe.efi|boot.ipxe|";
	assert_told(DHCPD_BOOT_PXE, 0, "undionly.kpxe");
	assert_told(DHCPD_BOOT_PXE, 7, "ipxe.efi");
	assert_told(DHCPD_BOOT_IPXE, 0, "boot.ipxe");
	assert_told(DHCPD_BOOT_IPXE, 7, "boot.ipxe");
	assert_told(DHCPD_BOOT_IPXE, DHCPD_ARCH_ANY, "boot.ipxe");
	names = "|undionly.kpxe|ipxe.efi|";
	assert_told(DHCPD_BOOT_IPXE, 0, "");
	assert_told(DHCPD_BOOT_IPXE, 7, "");
	names = "|undionly.kpxe|pxelinux.0|autoexec.ipxe|";
	assert_told(DHCPD_BOOT_IPXE, 0, "autoexec.ipxe");
	names = "|undionly.kpxe|pxelinux.0|"; /* QEMU's own ROM is an iPXE, too */
	assert_told(DHCPD_BOOT_IPXE, 0, "pxelinux.0");
}
END_TEST

START_TEST(test_bootfile_is_for_all)
{
	names = "|bootx64.efi|boot.ipxe|";
	menu.bootfile = "/images/loader";
	assert_told(DHCPD_BOOT_PXE, 7, "/images/loader");
	assert_told(DHCPD_BOOT_IPXE, 0, "/images/loader");
	assert_told(DHCPD_BOOT_HTTP, 16, "http://10.0.2.2/images/loader");
	menu.bootfile = "https://boot.example/x";
	assert_told(DHCPD_BOOT_PXE, 7, "https://boot.example/x");
	assert_told(DHCPD_BOOT_HTTP, 16, "https://boot.example/x");
	menu.pxe_prefix = "tftp://[fec0::2]/";
	menu.bootfile = "loader";
	assert_told(DHCPD_BOOT_PXE, 7, "tftp://[fec0::2]/loader");
}
END_TEST

START_TEST(test_name_that_does_not_fit_is_none)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	names = "||";
	menu.bootfile = name;
	assert_told(DHCPD_BOOT_PXE, 7, name);
	assert_told(DHCPD_BOOT_HTTP, 16, "");
}
END_TEST

int main(void)
{
	return SUITE_RUN("boot_menu", test_each_architecture_gets_its_own,
			 test_http_clients_get_a_url, test_first_name_that_is_there_counts,
			 test_ipxe_is_not_told_of_ipxe_again, test_bootfile_is_for_all,
			 test_name_that_does_not_fit_is_none);
}
