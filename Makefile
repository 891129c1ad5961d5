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
DATADIR ?= $(PREFIX)/share/lwnat
UNITDIR ?= $(PREFIX)/lib/systemd/user
VERSION := 0.1
TEST_JOBS ?= 2
CLANG ?= clang

# A warning stops the build in a checkout and in CI; a release tarball meets compilers we have not seen.
WERROR ?= $(if $(or $(wildcard .git),$(filter true 1,$(CI))),1,0)

# Three builds live side by side.
ifeq ($(FUZZ_ENGINE),1)
B := build/fuzz
CC := $(CLANG)
else ifeq ($(SANITIZE),1)
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
comma := ,
objs_of = $(patsubst %.c,$(B)/obj/%.o,$(1))

# lwIP's ip4_frag.c and ip6_frag.c are compiled as part of stack/nat/port/reass[46].c.
# lwIP, fetched and verified by stack/nat/port/get-lwip.sh; needs our lwipopts.h to be compiled.
have_lwip := $(wildcard stack/nat/port/lwipopts.h)
lwip_dir := build/lwip
lwip_core := altcp altcp_alloc altcp_tcp def dns inet_chksum init ip mem memp netif pbuf raw stats sys \
	tcp tcp_in tcp_out timeouts udp \
	$(addprefix ipv4/,acd autoip dhcp etharp icmp igmp ip4 ip4_addr) \
	$(addprefix ipv6/,dhcp6 ethip6 icmp6 inet6 ip6 ip6_addr mld6 nd6)
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
program := $(if $(main_src),$(if $(filter 1,$(SANITIZE)),$(B)/lwnat,lwnat))

# ---- flags -------------------------------------------------------------------------------------

PKG_CONFIG ?= pkg-config
PKGS := libuv libcares libmicrohttpd jansson libpcap
ifneq ($(MAKECMDGOALS),)
ifeq ($(filter-out clean help lint demo check check-all check-guest fuzz uninstall,$(MAKECMDGOALS)),)
skip_pkgs := 1
endif
endif
ifndef skip_pkgs
need_build := $(if $(shell $(PKG_CONFIG) --exists $(PKGS) 2>/dev/null && echo 1),,deps-build)
pkg_cflags := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
pkg_libs := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null || echo -luv -lcares -lmicrohttpd -ljansson -lpcap)
check_cflags := $(shell $(PKG_CONFIG) --cflags check 2>/dev/null)
check_libs := $(shell $(PKG_CONFIG) --libs check 2>/dev/null || echo -lcheck -lm -lpthread)
endif

CFLAGS ?= $(if $(filter 1,$(SANITIZE)),-O1,-O2) -g
warn_flags := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2
ifeq ($(FUZZ_ENGINE),1)
harden := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
harden_ld := -fsanitize=fuzzer,address,undefined
else ifeq ($(SANITIZE),1)
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

.PHONY: all
all: $(program) $(if $(main_src),,$(libs))
	@:

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
$(B)/flags: FORCE | $(need_build)
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
# They contain lwIP's sources, which are not written with the aliasing rules in mind.
$(call objs_of,$(wildcard stack/nat/port/reass?.c)): extra_cflags += -fno-strict-aliasing
test_objs := $(call objs_of,$(test_srcs) $(support_srcs) $(wildcard tests/fuzz/*.c))
$(test_objs): extra_cflags = $(check_cflags)
$(test_objs): | $(lwip_stamp)

# Rewritten only when another source tree is asked for.
build/lwip-dir: FORCE
	@mkdir -p $(@D); echo '$(LWIP_DIR)' | cmp -s - $@ || echo '$(LWIP_DIR)' > $@

$(lwip_dir)/verified: stack/nat/port/get-lwip.sh build/lwip-dir
	$(Q)LWIP_DIR='$(LWIP_DIR)' stack/nat/port/get-lwip.sh $(lwip_dir)

# ---- tests -------------------------------------------------------------------------------------

# Counts and fails allocations made inside of these calls only.
nomem_wraps := malloc calloc realloc nat_new nat_port_add nat_input nat_host_event nat_run nat_tick \
	nat_tcp_inbound nat_udp_inbound
$(B)/tests/core/test_nat_nomem: LDLIBS += $(addprefix -Wl$(comma)--wrap=,$(nomem_wraps))
# Counts the instructions of these.
$(B)/tests/core/test_nat_scale: LDLIBS += $(addprefix -Wl$(comma)--wrap=,nat_input nat_host_event nat_run nat_tick)

# Objects of tests are kept: make must not take them for intermediate files.
.SECONDARY: $(test_objs)

$(B)/tests/fuzz/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(if $(filter 1,$(FUZZ_ENGINE)),,$(B)/obj/tests/fuzz/driver.o) $(lib_support) $(libs)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(all_ldflags) -o $@ $(filter %.o,$^) -Wl,--start-group $(lib_support) $(libs) -Wl,--end-group \
		$(check_libs) $(pkg_libs) $(LDLIBS)

$(B)/tests/%: $(B)/obj/tests/%.o $(lib_support) $(libs)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(all_ldflags) -o $@ $< -Wl,--start-group $(lib_support) $(libs) -Wl,--end-group \
		$(check_libs) $(pkg_libs) $(LDLIBS)

.PHONY: deps-build
deps-build:
	$(Q)tests/support/deps.sh --no-install build

bench_tap := tests/bench/tap.c tests/bench/segment.c
$(B)/bench/bridge: $(call objs_of,tests/bench/bridge.c $(bench_tap)) $(lib_pure)
$(B)/bench/front: $(call objs_of,tests/bench/front.c tests/bench/ring.c tests/bench/vhost.c $(bench_tap)) $(lib_pure)
$(B)/bench/mirror: $(call objs_of,tests/bench/mirror.c tests/bench/tap.c)
$(B)/bench/load: $(call objs_of,tests/bench/load.c)
$(B)/bench/flood: $(call objs_of,tests/bench/flood.c)
$(B)/bench/pump: $(call objs_of,tests/bench/pump.c)
bench_bins := $(addprefix $(B)/bench/,bridge front mirror load flood pump)
$(bench_bins):
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(all_ldflags) -o $@ $^ $(LDLIBS)

# What 'make check' and 'make demo' need is installed first; a make of its own then builds and sees it.
# Every stage is run, whatever became of the one before it.
.PHONY: check check-unit check-core check-wire check-fuzz check-guest check-all demo bench fuzz
check:
	$(Q)tests/support/deps.sh build check $(if $(filter 1,$(SANITIZE)),,guest)
	$(Q)rm -f build/results
	$(Q)$(if $(filter 1,$(SANITIZE)),,$(MAKE) -k stage-build; $(MAKE) -k stage-unit stage-core stage-wire;) \
		$(MAKE) -k SANITIZE=1 stage-build; $(MAKE) -k SANITIZE=1 stage-unit stage-core stage-wire stage-fuzz; \
		$(if $(filter 1,$(SANITIZE)),,$(MAKE) stage-guest;) tests/support/run-tests --sum build/results

check-all:
	$(Q)$(MAKE) lint
	$(Q)$(MAKE) check FUZZ_SECONDS=60 SLOW=1

check-unit check-core check-wire: check-%: all
	$(Q)$(MAKE) $(jobs) $(call tests_of,$*)
	$(Q)$(MAKE) stage-$* RESULTS=

check-fuzz:
	$(Q)$(MAKE) $(jobs) SANITIZE=1 fuzz-bins
	$(Q)$(MAKE) SANITIZE=1 stage-fuzz RESULTS=

check-guest:
	$(Q)tests/support/deps.sh build guest
	$(Q)$(MAKE) $(jobs) all
	$(Q)$(MAKE) stage-guest RESULTS=

demo:
	$(Q)tests/support/deps.sh build guest
	$(Q)$(MAKE) $(jobs) all
	$(Q)tests/guest/demo

bench:
	$(Q)tests/support/deps.sh build bench guest
	$(Q)$(MAKE) $(jobs) all bench-bins
	$(Q)LWNAT="$${LWNAT:-$(CURDIR)/lwnat}" tests/bench/run $(BENCH)

# ---- the stages of 'make check' ----------------------------------------------------------------

RESULTS ?= build/results
FUZZ_SECONDS ?= 4
jobs := $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(TEST_JOBS))
scripts_of = $(sort $(wildcard tests/$(1)/*.test))
run_tests = RESULTS=$(RESULTS) FUZZ_SECONDS=$(FUZZ_SECONDS) LWNAT=$(CURDIR)/$(if $(filter 1,$(SANITIZE)),$(B)/)lwnat \
	tests/support/run-tests

.PHONY: stage-build stage-unit stage-core stage-wire stage-fuzz stage-guest build-tests fuzz-bins bench-bins
bench-bins: $(bench_bins)
	@:
build-tests: all $(foreach d,unit core wire,$(call tests_of,$(d))) $(if $(filter 1,$(SANITIZE)),$(fuzz_bins),$(bench_bins))
fuzz-bins: $(fuzz_bins)

# A tree that does not build is a failed test.
stage-build:
	$(Q)mkdir -p build; $(MAKE) $(jobs) build-tests || { echo "0 1 $(B)" >> $(RESULTS); false; }
stage-unit stage-core stage-wire: stage-%:
	$(Q)$(run_tests) -j $(TEST_JOBS) $(call tests_of,$*) $(if $(filter 1,$(SANITIZE)),,$(call scripts_of,$*))
stage-fuzz:
	$(Q)$(run_tests) -j $(TEST_JOBS) $(fuzz_bins)
stage-guest:
	$(Q)TEST_TIMEOUT=3600 $(run_tests) $(call scripts_of,guest) $(if $(SLOW),$(call scripts_of,guest/slow))

# 'make fuzz' hunts: clang's engine where there is a clang, else the driver of 'make check' for longer.
#   make fuzz FUZZ=dns_msg FUZZ_SECONDS=600
FUZZ ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(fuzz_srcs))
fuzz:
	$(Q)MAKE='$(MAKE)' CLANG='$(CLANG)' FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/hunt $(FUZZ)

# ---- the rest ----------------------------------------------------------------------------------

.PHONY: lint
lint:
	$(Q)tests/support/lint

# The options and commands come from the program's own tables.
man_pages := $(patsubst man/%.in,build/man/%,$(wildcard man/*.1.in))
build/man/%.1: man/%.1.in $(program)
	@mkdir -p $(@D)
	$(call say,MAN,$@)$(dir $(program))$(notdir $(program)) --man-options $(patsubst lwnat-%,%,$(filter lwnat-%,$*)) > $@.options
	$(Q)sed -e '/^@OPTIONS@$$/{r $@.options' -e 'd}' -e 's/@VERSION@/$(VERSION)/' $< > $@

# Units of a user's service manager. Made afresh: BINDIR may be another one than last time.
units := $(patsubst stack/app/systemd/%.in,build/systemd/%,$(wildcard stack/app/systemd/*.in))
build/systemd/%: stack/app/systemd/%.in FORCE
	@mkdir -p $(@D)
	$(Q)sed 's|@BINDIR@|$(BINDIR)|' '$<' > '$@'

completions := build/completion/lwnat build/completion/_lwnat build/completion/lwnat.fish
$(completions): $(program)
	@mkdir -p $(@D)
	$(call say,GEN,$@)$(dir $(program))$(notdir $(program)) completion \
		$(if $(filter %/lwnat,$@),bash,$(if $(filter %/_lwnat,$@),zsh,fish)) > $@
.PHONY: man completion
man: $(man_pages)
completion: $(completions)

# What each shell looks through by itself; zsh: where $fpath has it.
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d

.PHONY: install uninstall units
units: $(units)
install: all $(man_pages) $(completions) $(units)
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(MANDIR)/man1 $(DATADIR) $(BASHCOMPDIR) $(ZSHCOMPDIR) $(FISHCOMPDIR))
	install -m 755 lwnat $(DESTDIR)$(BINDIR)/lwnat
	install -m 644 $(man_pages) $(DESTDIR)$(MANDIR)/man1/
	install -m 644 build/completion/lwnat $(DESTDIR)$(BASHCOMPDIR)/lwnat
	install -m 644 build/completion/_lwnat $(DESTDIR)$(ZSHCOMPDIR)/_lwnat
	install -m 644 build/completion/lwnat.fish $(DESTDIR)$(FISHCOMPDIR)/lwnat.fish
	install -m 644 stack/app/openapi.json $(DESTDIR)$(DATADIR)/openapi.json
	install -d $(DESTDIR)$(UNITDIR)
	install -m 644 $(units) $(DESTDIR)$(UNITDIR)
uninstall:
	rm -f $(DESTDIR)$(BINDIR)/lwnat $(addprefix $(DESTDIR)$(MANDIR)/man1/,$(notdir $(man_pages))) \
		$(DESTDIR)$(BASHCOMPDIR)/lwnat $(DESTDIR)$(ZSHCOMPDIR)/_lwnat $(DESTDIR)$(FISHCOMPDIR)/lwnat.fish \
		$(DESTDIR)$(DATADIR)/openapi.json
	rm -f $(patsubst build/systemd/%,$(DESTDIR)$(UNITDIR)/%,$(units))

.PHONY: help
help:
	@echo 'make                ./lwnat'
	@echo 'make demo           boots a Linux guest that uses the network; installs what is missing (Debian, Ubuntu)'
	@echo 'make check          every test, plain and under sanitizers, and in real guests; installs what is missing'
	@echo 'make check-unit, check-core, check-wire, check-fuzz, check-guest    one kind of them'
	@echo 'make check-all      lint, and check with longer fuzzing and the slow guests (SLOW=1) as well'
	@echo 'make fuzz           fuzzes with clang: FUZZ="name..." FUZZ_SECONDS=n for each'
	@echo 'make bench          measures beside passt, libslirp, slirp4netns: BENCH=--quick, --verify, --help'
	@echo 'make lint           layout, layers, lengths, static analysis'
	@echo 'make install        PREFIX=/usr/local DESTDIR='
	@echo 'make uninstall, clean'
	@echo
	@echo 'SANITIZE=1  ASan and UBSan, built in build/san     V=1       show the commands'
	@echo 'WERROR=0    warnings do not stop the build          LWIP_DIR= a source tree of lwIP 2.2.1 to use'
	@echo 'CC CFLAGS CPPFLAGS LDFLAGS PKG_CONFIG as usual      TEST_JOBS=2 tests that run at a time'

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# build/cache is where lwIP is kept when the home folder cannot be written.
.PHONY: clean
clean:
	@rm -f lwnat
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +

