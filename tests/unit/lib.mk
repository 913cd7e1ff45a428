# hv/lib, natively.
LIB_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

UNIT_TESTS += lib
lib_SRCS := tests/unit/lib_test.c hv/lib/fmt.c hv/lib/cpio.c
lib_CFLAGS := -Ihv -Ihv/include $(LIB_TEST_SANITIZE)
lib_LIBS := -lcmocka $(LIB_TEST_SANITIZE)

# The core's string functions under other names, so that they and libc's can be compared.
UNIT_TESTS += lib_string
lib_string_SRCS := tests/unit/lib_string.c hv/lib/string.c
lib_string_CFLAGS := -Ihv -Ihv/include -ffreestanding -fno-tree-loop-distribute-patterns \
    $(foreach f,memcpy memmove memset memcmp strlen strnlen strcmp strncmp strchr,-D$(f)=core_$(f))
