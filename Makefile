# Clawgate. `make help` lists the targets.
#
# Variants live in directories of their own: BUILD=build-asan SAN=address,undefined make …
BUILD ?= build
SAN   ?=
CC    ?= cc
PREFIX ?= /usr/local

WARN   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
          -Wpointer-arith -Wformat=2 -Werror
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
TESTBIN  := $(patsubst test/%.c,$(BUILD)/test/%,$(wildcard test/upstream/*.c test/bench/*.c test/crash/*.c))

all: $(PROGRAMS) $(HELPERS) ## build the programs

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  cc    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/obj/%.o: %.S schema.sql $(wildcard common/store/migrations/*.sql)
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

$(BUILD)/tools/%: $(BUILD)/obj/tools/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

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

$(BUILD)/test/%: $(BUILD)/obj/test/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

.SECONDARY:
.PHONY: all help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

-include $(LIB_OBJ:.o=.d) $(wildcard $(BUILD)/obj/*/*.d $(BUILD)/obj/*/*/*.d $(BUILD)/obj/*/*/*/*.d)
