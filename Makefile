# lwnat: GNU make, no configure step.
#
#   make                 ./lwnat
#   make demo            boot a Linux guest and use its network
#   make check           every test; the last line is "N passed, N failed"
#   make help            the other targets and the variables
#
# Sources and tests are found by wildcard: adding a file needs no change here.

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
VERSION := 0.1
TEST_JOBS ?= 2

# A warning stops the build in a checkout and in CI; a release tarball meets compilers we have not seen.
WERROR ?= $(if $(or $(wildcard .git),$(filter true 1,$(CI))),1,0)

ifeq ($(SANITIZE),1)
B := build/san
else
B := build
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

# ---- sources -----------------------------------------------------------------------------------

src_dirs := stack/base stack/link stack/nat stack/nat/port stack/host stack/app dhcp dns tftp hostfwd
srcs := $(sort $(wildcard $(addsuffix /*.c,$(src_dirs))))
main_src := $(wildcard stack/app/main.c)
nat_srcs := $(filter stack/nat/%,$(srcs))
host_srcs := $(filter-out $(main_src),$(filter stack/host/% stack/app/% %_uv.c,$(srcs)))
pure_srcs := $(filter-out $(main_src) $(nat_srcs) $(host_srcs),$(srcs))
objs_of = $(patsubst %.c,$(B)/obj/%.o,$(1))

# lwIP, fetched and verified by stack/nat/port/get-lwip.sh; needs our lwipopts.h to be compiled.
have_lwip := $(wildcard stack/nat/port/lwipopts.h)
lwip_dir := build/lwip
lwip_core := altcp altcp_alloc altcp_tcp def dns inet_chksum init ip mem memp netif pbuf raw stats sys \
	tcp tcp_in tcp_out timeouts udp \
	$(addprefix ipv4/,acd autoip dhcp etharp icmp igmp ip4 ip4_addr ip4_frag) \
	$(addprefix ipv6/,dhcp6 ethip6 icmp6 inet6 ip6 ip6_addr ip6_frag mld6 nd6)
lwip_objs := $(if $(have_lwip),$(patsubst %,$(B)/obj/lwip/%.o,$(lwip_core)))
lwip_stamp := $(if $(have_lwip),$(lwip_dir)/verified)

lib_pure := $(B)/liblwnat-pure.a
lib_nat := $(B)/liblwnat-nat.a
lib_host := $(B)/liblwnat-host.a
lib_support := $(B)/liblwnat-support.a
libs := $(lib_host) $(lib_nat) $(lib_pure)

support_srcs := $(sort $(wildcard tests/support/*.c))
test_srcs := $(sort $(foreach d,unit core wire,$(wildcard tests/$(d)/test_*.c)))
tests_of = $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/$(1)/test_*.c)))
fuzz_srcs := $(sort $(wildcard tests/fuzz/fuzz_*.c))
fuzz_bins := $(patsubst %.c,$(B)/%,$(fuzz_srcs))
guest_tests := $(sort $(shell find tests/guest -maxdepth 1 -name '*.sh' -perm -u+x 2>/dev/null))
program := $(if $(main_src),$(if $(filter 1,$(SANITIZE)),$(B)/lwnat,lwnat))

# ---- flags -------------------------------------------------------------------------------------

PKG_CONFIG ?= pkg-config
PKGS := libuv libcares
ifneq ($(MAKECMDGOALS),)
ifeq ($(filter-out clean help lint demo check install uninstall,$(MAKECMDGOALS)),)
skip_pkgs := 1
endif
endif
ifndef skip_pkgs
pkg_cflags := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
pkg_libs := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null || echo -luv -lcares)
check_cflags := $(shell $(PKG_CONFIG) --cflags check 2>/dev/null)
check_libs := $(shell $(PKG_CONFIG) --libs check 2>/dev/null || echo -lcheck -lm -lpthread)
endif

CFLAGS ?= $(if $(filter 1,$(SANITIZE)),-O1,-O2) -g
warn_flags := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2
ifeq ($(SANITIZE),1)
harden := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
harden_ld := -fsanitize=address,undefined
else
harden := -fstack-protector-strong -fPIE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
harden_ld := -pie -Wl,-z,relro,-z,now
endif
base_cflags := -std=c11 -D_GNU_SOURCE -DLWNAT_VERSION='"$(VERSION)"' $(harden) $(CFLAGS)
our_cflags := $(base_cflags) $(warn_flags) $(if $(filter 1,$(WERROR)),-Werror)
our_cppflags := -I. $(CPPFLAGS) $(pkg_cflags)
# A layout shared with lwIP's own objects: the same two include paths for both.
lwip_cppflags := -Istack/nat/port -isystem $(lwip_dir)/src/include
all_ldflags := $(harden_ld) $(LDFLAGS)

# ---- programs ----------------------------------------------------------------------------------

.PHONY: all tests
all: $(program) $(if $(main_src),,$(libs))

ifneq ($(main_src),)
$(B)/lwnat: $(call objs_of,$(main_src)) $(libs)
	$(call say,LD,$@)$(CC) $(all_ldflags) -o $@ $< -Wl,--start-group $(libs) -Wl,--end-group $(pkg_libs) $(LDLIBS)

lwnat: build/lwnat
	$(Q)cp -f $< $@.new && mv -f $@.new $@
endif

$(lib_pure): $(call objs_of,$(pure_srcs))
$(lib_nat): $(call objs_of,$(nat_srcs)) $(lwip_objs)
$(lib_host): $(call objs_of,$(host_srcs))
$(lib_support): $(call objs_of,$(support_srcs))
$(libs) $(lib_support): Makefile
	@mkdir -p $(@D)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

# ---- objects -----------------------------------------------------------------------------------

# Rewritten only when the command line differs from the last one.
$(B)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' '$(CC) $(subst ','\'',$(our_cflags) $(our_cppflags))' | cmp -s - $@ || \
		printf '%s\n' '$(CC) $(subst ','\'',$(our_cflags) $(our_cppflags))' > $@
.PHONY: FORCE
FORCE:

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(our_cflags) $(our_cppflags) $(extra_cflags) -MD -MP -c -o $@ $<

$(B)/obj/lwip/%.o: $(lwip_stamp) $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,lwip $*)$(CC) $(base_cflags) -w -fno-strict-aliasing -I. $(CPPFLAGS) $(lwip_cppflags) -MD -MP -c -o $@ \
		$(lwip_dir)/src/core/$*.c

nat_objs := $(call objs_of,$(nat_srcs))
$(nat_objs): extra_cflags = $(lwip_cppflags)
$(nat_objs): | $(lwip_stamp)
test_objs := $(call objs_of,$(test_srcs) $(support_srcs) $(wildcard tests/fuzz/*.c))
$(test_objs): extra_cflags = $(check_cflags)

# Rewritten only when another source tree is asked for.
build/lwip-dir: FORCE
	@mkdir -p $(@D); echo '$(LWIP_DIR)' | cmp -s - $@ || echo '$(LWIP_DIR)' > $@

$(lwip_dir)/verified: stack/nat/port/get-lwip.sh build/lwip-dir
	$(Q)LWIP_DIR='$(LWIP_DIR)' stack/nat/port/get-lwip.sh $(lwip_dir)

# ---- tests -------------------------------------------------------------------------------------

# Objects of tests are kept: make must not take them for intermediate files.
.SECONDARY: $(test_objs)

$(B)/tests/fuzz/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/driver.o $(lib_support) $(libs)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(all_ldflags) -o $@ $(filter %.o,$^) -Wl,--start-group $(lib_support) $(libs) -Wl,--end-group \
		$(check_libs) $(pkg_libs) $(LDLIBS)

$(B)/tests/%: $(B)/obj/tests/%.o $(lib_support) $(libs)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(all_ldflags) -o $@ $< -Wl,--start-group $(lib_support) $(libs) -Wl,--end-group \
		$(check_libs) $(pkg_libs) $(LDLIBS)

tests: $(foreach d,unit core wire,$(call tests_of,$(d))) $(if $(filter 1,$(SANITIZE)),$(fuzz_bins))

run_tests = RESULTS=$(B)/results LWNAT=$(CURDIR)/$(if $(filter 1,$(SANITIZE)),$(B)/)lwnat \
	tests/support/run-tests -j $(TEST_JOBS)

.PHONY: check-unit check-core check-wire
check-unit check-core: check-%: all
	$(Q)$(MAKE) $(call tests_of,$*)
	$(Q)$(run_tests) $(call tests_of,$*)
check-wire: all
	$(Q)$(MAKE) $(call tests_of,wire)
	$(Q)$(run_tests) $(call tests_of,wire)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# build/cache is where lwIP is kept when the home folder cannot be written.
.PHONY: clean
clean:
	@rm -f lwnat
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +

.PHONY: check
check:
	$(Q)rm -f build/results build/san/results
	$(Q)$(MAKE) -k check-unit check-core check-wire; $(MAKE) -k SANITIZE=1 check-unit check-core check-wire; \
		cat build/results build/san/results > build/all-results; tests/support/run-tests --sum build/all-results
