# Clawgate. `make help` lists the targets.
#
# Variants live in directories of their own: BUILD=build-asan SAN=address,undefined make …
BUILD  ?= build
SAN    ?=
CC     ?= cc
PREFIX ?= /usr/local
LIBDIR  = $(PREFIX)/lib/clawgate
JOBS   ?= $(shell nproc)
FUZZ_SECONDS ?= 20

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif

WARN   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
          -Wpointer-arith -Wformat=2 -Werror
ifneq ($(findstring clang,$(CC)),)
WARN   += -Wno-sign-conversion # its enums are unsigned, gcc checks the rest
endif
HARDEN := -fstack-protector-strong -fPIE
LDHARD := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifeq ($(SAN),)
OPT    := -O2 -g -D_FORTIFY_SOURCE=2
else
OPT    := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -DCLAWGATE_SANITIZED=1
LDHARD += -fsanitize=$(SAN)
endif

CPPFLAGS += -I. -Icommon -Icgi-bin -include common/base/banned.h -MMD -MP
CFLAGS   += -std=gnu17 $(OPT) $(WARN) $(HARDEN) -pthread
LDFLAGS  += $(LDHARD) -pthread

# The library: every room of common/. Programs link only what they call, so
# libcurl and TLS end up in chat alone.
LIB_SRC  := $(wildcard common/*/*.c)
LIB_ASM  := $(wildcard common/*/*.S)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) $(LIB_ASM:%.S=$(BUILD)/obj/%.o)
LIB      := $(BUILD)/libclawgate.a
LIBS     := -lfcgi -lsqlite3 -ljson-c -lcurl -lssl -lcrypto -lpcre2-8 -lm

PROGRAMS := $(patsubst cgi-bin/%.c,$(BUILD)/cgi-bin/%,$(wildcard cgi-bin/*.c))
HELPERS  := $(patsubst tools/%.c,$(BUILD)/tools/%,$(wildcard tools/*.c))
UNITS    := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(wildcard test/unit/*_test.c))
FUZZERS  := $(patsubst test/fuzz/%.c,$(BUILD)/test/fuzz/%,$(wildcard test/fuzz/*_fuzz.c))
TESTBIN  := $(patsubst test/%.c,$(BUILD)/test/%,$(wildcard test/upstream/*.c test/bench/*.c test/crash/*.c))

# The API document and its page, made from what the programs describe of themselves.
DESCRIBED := $(PROGRAMS:$(BUILD)/cgi-bin/%=$(BUILD)/describe/%.json)
API_PARTS := $(wildcard docs/openapi/*.json)
DOCUMENTS := $(BUILD)/openapi.json $(BUILD)/docs-assets/reference.html $(BUILD)/docs-assets/.swagger-ui

all: $(PROGRAMS) $(HELPERS) $(DOCUMENTS) ## build the programs, the API document and its page
	@:

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  cc    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/obj/%.o: %.S schema.sql $(wildcard common/store/migrations/*.sql) $(wildcard common/agent/templates/*.md)
	@mkdir -p $(@D)
	@$(CC) -I. -c -o $@ $<

$(LIB): $(LIB_OBJ)
	@rm -f $@
	@ar rcs $@ $(LIB_OBJ)

# A program is cgi-bin/NAME.c and, when it has rooms of its own, cgi-bin/NAME/*.c.
define program_rule
$(BUILD)/cgi-bin/$(1): $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cgi-bin/$(1).c cgi-bin/$(1)/*.c)) $(LIB)
	@mkdir -p $$(@D)
	@echo "  link  $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(LIB) $$(LIBS)
endef
$(foreach p,$(PROGRAMS:$(BUILD)/cgi-bin/%=%),$(eval $(call program_rule,$(p))))

# So is a helper: tools/NAME.c and tools/NAME/*.c.
define helper_rule
$(BUILD)/tools/$(1): $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tools/$(1).c tools/$(1)/*.c)) $(LIB)
	@mkdir -p $$(@D)
	@echo "  link  $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(LIB) $$(LIBS)
endef
$(foreach h,$(HELPERS:$(BUILD)/tools/%=%),$(eval $(call helper_rule,$(h))))

$(BUILD)/describe/%.json: $(BUILD)/cgi-bin/%
	@mkdir -p $(@D)
	@$< --describe >$@.new && mv -f $@.new $@

$(BUILD)/openapi.json: $(BUILD)/tools/openapi $(DESCRIBED) $(API_PARTS)
	@echo "  docs  $@"
	@$< $(DESCRIBED) $(API_PARTS) >$@.new && mv -f $@.new $@

$(BUILD)/docs-assets/reference.html: $(BUILD)/tools/openapi $(DESCRIBED) $(API_PARTS)
	@mkdir -p $(@D)
	@$< --html $(DESCRIBED) $(API_PARTS) >$@.new && mv -f $@.new $@

# Without npm the mark is not made, and /docs is the static reference.
$(BUILD)/docs-assets/.swagger-ui: tools/docs-assets $(wildcard docs/npm/*.json docs/npm/*.html docs/npm/*.js)
	@tools/docs-assets $(@D)

# What is compiled for one run of the tests is optimised less: it is the half of the build that they wait for.
$(BUILD)/obj/test/unit/%.o: CFLAGS += -O1

$(BUILD)/test/unit/%: $(BUILD)/obj/test/unit/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -o $@ $< $(LIB) -lcmocka $(LIBS)

# The scripted upstream and the benchmark programs share nothing with the library they judge.
UPSTREAM_PARTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard test/upstream/parts/*.c))
BENCH_PARTS    := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard test/bench/parts/*.c))

$(BUILD)/test/upstream/upstream: $(BUILD)/obj/test/upstream/upstream.o $(UPSTREAM_PARTS)
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ -ljson-c -lssl -lcrypto -lm

$(filter $(BUILD)/test/bench/%,$(TESTBIN)): $(BUILD)/test/bench/%: $(BUILD)/obj/test/bench/%.o
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ -lfcgi -lsqlite3 -ljson-c -lcurl -lcrypto
$(BUILD)/test/bench/load: $(BENCH_PARTS) $(BUILD)/obj/test/upstream/parts/bytes.o $(BUILD)/obj/test/upstream/parts/timers.o

# Chat on the same path with its writes left out.
UNWRITTEN := $(BUILD)/test/bench/unwritten/chat
$(UNWRITTEN): $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cgi-bin/chat.c cgi-bin/chat/*.c test/bench/unwritten/*.c)) $(LIB)
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -Wl,--wrap=writer_run,--wrap=writer_post -o $@ $(filter %.o,$^) $(LIB) $(LIBS)

$(BUILD)/test/fuzz/%: $(BUILD)/obj/test/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB) $(LIBS)

$(BUILD)/test/%: $(BUILD)/obj/test/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

# Everything the suites need, and the fuzz targets (these with clang only).
tests: all $(UNITS) $(TESTBIN) $(UNWRITTEN)
	@:
fuzzers: $(FUZZERS)
	@:

deps: ## install the packages that building and running need
	@tools/deps build

run: ## install what is missing, build, and serve ./var (or CLAWGATE_HOME) with one chat completion
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL tools/run

# The suites. Each ends with the line "N passed, N failed, N skipped".
test: test-deps ## every unit test and end-to-end suite
	@$(MAKE) --no-print-directory tests
	@CLAWGATE_BUILD=$(BUILD) test/run

test-unit: test-deps ## the unit tests alone
	@$(MAKE) --no-print-directory tests
	@CLAWGATE_BUILD=$(BUILD) test/run unit

test-e2e: test-deps ## the end-to-end suites alone
	@$(MAKE) --no-print-directory tests
	@CLAWGATE_BUILD=$(BUILD) test/run e2e

test-deps:
	@tools/deps test
	@tools/deps npm

bench: test-deps ## the performance suite: ratios against a bare FastCGI program and a direct call
	@$(MAKE) --no-print-directory tests
	@CLAWGATE_BUILD=$(BUILD) test/bench/run

# A finding ends the program at once and stands in its log; everything is slower there.
SANITIZED := ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1 \
             UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
             CLAWGATE_TEST_SLOWER=3 CLAWGATE_TEST_TIMEOUT=900
TSAN_TESTS = $(patsubst test/unit/%.c,build-tsan/test/unit/%,$(shell grep -l pthread_create test/unit/*_test.c)) \
             $(foreach s,chat streaming runs lifecycle,$(wildcard test/e2e/$(s)*.bats))

asan: test-deps ## all suites on a build with AddressSanitizer, LeakSanitizer and UBSan
	@$(MAKE) --no-print-directory BUILD=build-asan SAN=address,undefined tests
	@$(SANITIZED) CLAWGATE_BUILD=build-asan test/run

tsan: test-deps ## the suites of what threads share on a build with ThreadSanitizer
	@$(MAKE) --no-print-directory BUILD=build-tsan SAN=thread tests
	@$(SANITIZED) CLAWGATE_BUILD=build-tsan test/run $(TSAN_TESTS)

fuzz: test-deps ## each fuzz target for FUZZ_SECONDS (20)
	@$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang SAN=fuzzer-no-link,address,undefined fuzzers
	@test/fuzz/run build-fuzz $(FUZZ_SECONDS)

lint: test-deps ## static checks of sources, shell scripts, routes and documents
	@$(MAKE) --no-print-directory all
	@tools/lint $(BUILD)

docs: all ## bring the generated parts of docs/ up to date
	@tools/docs $(BUILD)

# A new file takes the place of the old one in one step: a gateway that runs keeps what it has until it is reloaded.
put = install -D -m $(1) $(2) "$(DESTDIR)$(3).new" && mv -f "$(DESTDIR)$(3).new" "$(DESTDIR)$(3)"
install: all ## install below DESTDIR and PREFIX (/usr/local)
	@$(call put,755,tools/clawgate,$(PREFIX)/bin/clawgate)
	@$(call put,755,tools/clawgate-site,$(LIBDIR)/clawgate-site)
	@for f in $(notdir $(PROGRAMS)); do $(call put,755,$(BUILD)/cgi-bin/$$f,$(LIBDIR)/cgi-bin/$$f) || exit; done
	@for f in clawgate-admin clawgate-serve; do $(call put,755,$(BUILD)/tools/$$f,$(LIBDIR)/$$f) || exit; done
	@for f in $(notdir $(wildcard tools/errors/*)); do $(call put,644,tools/errors/$$f,$(LIBDIR)/errors/$$f) || exit; done
	@$(call put,644,$(BUILD)/openapi.json,$(LIBDIR)/openapi.json)
	@for f in $(BUILD)/docs-assets/*; do $(call put,644,$$f,$(LIBDIR)/docs-assets/$${f##*/}) || exit; done
	@for f in lighttpd.conf lighttpd-tls.conf; do $(call put,644,$$f,$(LIBDIR)/$$f) || exit; done
	@echo "installed below $(DESTDIR)$(PREFIX); a new home: clawgate init, then clawgate serve"

clean: ## remove everything that was built (homes such as ./var stay)
	rm -rf build build-asan build-tsan build-fuzz

help: ## this list
	@awk -F':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.SECONDARY:
.PHONY: all tests fuzzers deps run test test-unit test-e2e test-deps bench asan tsan fuzz lint docs install clean help

-include $(LIB_OBJ:.o=.d) $(wildcard $(BUILD)/obj/*/*.d $(BUILD)/obj/*/*/*.d $(BUILD)/obj/*/*/*/*.d)
