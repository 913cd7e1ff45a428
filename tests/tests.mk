# Tests: what there is, where it goes, and how to add one.
#
#   unit test in C   tests/unit/test_<name>.c, with cmocka or printing TAP itself, and in tests/unit/<area>.mk
#                        UNIT_TESTS += test_pmap
#                        test_pmap_SRCS   := tests/unit/test_pmap.c hv/mem/pmap.c
#                        test_pmap_CFLAGS := -Ihv/include        (optional, after the common flags)
#                        test_pmap_LIBS   := -lcmocka            (optional, default -lcmocka)
#                    Every source is compiled anew for each program, so that a test chooses its own flags
#                    (-fsanitize=address,undefined goes into both _CFLAGS and _LIBS).
#                    The program is build/tests/unit/test_pmap and runs in the top directory.
#   any other host   UNIT_PROGRAMS += build/.../program    with a rule of its own; it prints TAP and takes no arguments
#   program
#   Lua test         tests/lua/test_<name>.lua, run by lua5.4 in the top directory, printing TAP;
#                    LUA_PATH finds policy-lua/?.lua and tests/lua/?.lua
#   host tier        tests/<name>.bats: commands and files, no emulator. All of the host tier takes under a minute.
#   system tier      tests/system/<name>.bats: starts emulators; two files run at a time, so no file may take a fixed
#                    port or file name: use $BATS_FILE_TMPDIR. Every emulator goes under `timeout -k 5 SECONDS`:
#                    Bochs does not heed SIGTERM.
#                    bats_load_library finds bats-support, bats-assert and bats-file.
#   test needs a     HOST_TEST_NEEDS += build/...          (the system tier may take all of `make all` for granted)
#   built file
#
# tests/run-tests finds Lua and bats files by name; of C programs it runs those that the fragments list. Skip a test with
# a reason (bats: skip "why"; cmocka: print why, then skip(); TAP: ok 1 name # SKIP why); it is shown at the end.

HOST_TEST_NEEDS += $(BUILD)/steward/steward $(BUILD)/console/tithe

include $(sort $(wildcard tests/unit/*.mk))

UNIT_PROGRAMS += $(UNIT_TESTS:%=$(BUILD)/tests/unit/%)

# $(call unit_test,name): objects of this program alone, then the program.
define unit_test
$(1)_OBJS := $$($(1)_SRCS:%=$(BUILD)/tests/unit/$(1).d/%.o)
$$($(1)_OBJS): $(BUILD)/tests/unit/$(1).d/%.o: %
	$$(call say,CC,$$< ($(1)))
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS) $$($(1)_CFLAGS) $$(DEPFLAGS) -c -o $$@ $$<
$(BUILD)/tests/unit/$(1): $$($(1)_OBJS)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) -o $$@ $$^ $$(if $$(filter undefined,$$(origin $(1)_LIBS)),-lcmocka,$$($(1)_LIBS))
-include $$($(1)_OBJS:.o=.d)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_test,$(t))))

# The driver reads the list of programs from here: a stale program of a deleted test is not run.
$(BUILD)/tests/programs: FORCE
	$(Q)mkdir -p $(@D) && printf '%s\n' $(UNIT_PROGRAMS) > $@
test test-host: $(BUILD)/tests/programs
