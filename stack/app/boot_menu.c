#include "stack/app/boot_menu.h"

#include <stdio.h>
#include <string.h>

#define NAMES_MAX 12
#define ARCHES_MAX 3
#define NO_ARCH (-2) /* nobody's; DHCPD_ARCH_ANY is -1 */

/* Architectures that run the same programs, as they call themselves when they load by TFTP and by
 * HTTP ("Processor Architecture Types", IANA's registry of RFC 5970), and what they run, the first
 * that is there. A '*' marks those that are iPXE: one that runs already is not told of it again. */
struct platform {
	int pxe[ARCHES_MAX], http[ARCHES_MAX];
	const char *names[NAMES_MAX];
};

static const struct platform platforms[] = {
    {.pxe = {0, NO_ARCH, NO_ARCH}, /* PC BIOS */
     .http = {20, NO_ARCH, NO_ARCH},
     .names = {"*undionly.kpxe", "*ipxe.pxe", "pxelinux.0", "lpxelinux.0", "grub.pxe",
	       "boot/grub/i386-pc/core.0"}},
    /* x64 UEFI; 9 stands in RFC 4578, and 7 is what firmware sends. */
    {.pxe = {7, 9, NO_ARCH},
     .http = {16, NO_ARCH, NO_ARCH},
     .names = {"bootx64.efi", "EFI/BOOT/BOOTX64.EFI", "*ipxe.efi", "*snponly.efi", "shimx64.efi",
	       "bootnetx64.efi", "grubx64.efi", "grubnetx64.efi", "boot/grub/x86_64-efi/core.efi"}},
    {.pxe = {6, NO_ARCH, NO_ARCH}, /* 32-bit x86 UEFI */
     .http = {15, NO_ARCH, NO_ARCH},
     .names = {"bootia32.efi", "EFI/BOOT/BOOTIA32.EFI", "grubia32.efi",
	       "boot/grub/i386-efi/core.efi"}},
    {.pxe = {10, NO_ARCH, NO_ARCH}, /* 32-bit ARM UEFI */
     .http = {18, NO_ARCH, NO_ARCH},
     .names = {"bootarm.efi", "EFI/BOOT/BOOTARM.EFI", "grubarm.efi", "boot/grub/arm-efi/core.efi"}},
    {.pxe = {11, NO_ARCH, NO_ARCH}, /* 64-bit ARM UEFI */
     .http = {19, NO_ARCH, NO_ARCH},
     .names = {"bootaa64.efi", "EFI/BOOT/BOOTAA64.EFI", "shimaa64.efi", "bootnetaa64.efi",
	       "grubaa64.efi", "grubnetaa64.efi", "boot/grub/arm64-efi/core.efi"}},
    {.pxe = {27, NO_ARCH, NO_ARCH}, /* 64-bit RISC-V UEFI */
     .http = {28, NO_ARCH, NO_ARCH},
     .names = {"bootriscv64.efi", "EFI/BOOT/BOOTRISCV64.EFI", "grubriscv64.efi",
	       "boot/grub/riscv64-efi/core.efi"}},
    {.pxe = {39, NO_ARCH, NO_ARCH}, /* 64-bit LoongArch UEFI */
     .http = {40, NO_ARCH, NO_ARCH},
     .names = {"bootloongarch64.efi", "EFI/BOOT/BOOTLOONGARCH64.EFI"}},
    {.pxe = {21, 22, NO_ARCH}, /* U-Boot on 32- and 64-bit ARM */
     .http = {23, 24, NO_ARCH},
     .names = {"boot.scr.uimg"}},
};

static const char *const ipxe_scripts[] = {"boot.ipxe", "autoexec.ipxe"};

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct platform *platform_of(int arch)
{
	for (unsigned i = 0; i < N(platforms); i++) {
		for (unsigned k = 0; k < ARCHES_MAX; k++) {
			if (platforms[i].pxe[k] == arch || platforms[i].http[k] == arch)
				return &platforms[i];
		}
	}
	return NULL;
}

static const char *first_name(const struct platform *p, const struct boot_menu *menu, bool no_ipxe)
{
	for (unsigned i = 0; p && i < NAMES_MAX && p->names[i]; i++) {
		const char *name = p->names[i];

		if (*name == '*' && no_ipxe)
			continue;
		name += *name == '*';
		if (menu->exists(menu->ctx, name))
			return name;
	}
	return NULL;
}

static const char *first_script(const struct boot_menu *menu)
{
	for (unsigned i = 0; i < N(ipxe_scripts); i++) {
		if (menu->exists(menu->ctx, ipxe_scripts[i]))
			return ipxe_scripts[i];
	}
	return NULL;
}

static bool is_url(const char *text)
{
	while (*text >= 'a' && *text <= 'z')
		text++;
	return strncmp(text, "://", 3) == 0;
}

void boot_menu_choose(const struct boot_menu *menu, const struct boot_client *client,
		      char ret[BOOT_FILE_MAX])
{
	const char *prefix = client->kind == DHCPD_BOOT_HTTP ? menu->http_prefix : menu->pxe_prefix;
	const char *file = menu->bootfile[0] ? menu->bootfile : NULL;
	int len;

	if (!file && client->kind == DHCPD_BOOT_IPXE)
		file = first_script(menu);
	/* Without a script an iPXE goes on with the platform's other loaders. */
	if (!file)
		file = first_name(platform_of(client->arch), menu, client->kind == DHCPD_BOOT_IPXE);
	ret[0] = '\0';
	if (!file)
		return;
	len = snprintf(ret, BOOT_FILE_MAX, "%s%s", is_url(file) ? "" : prefix,
		       is_url(file) || prefix[0] == '\0' ? file : file + strspn(file, "/"));
	if (len >= BOOT_FILE_MAX)
		ret[0] = '\0';
}
