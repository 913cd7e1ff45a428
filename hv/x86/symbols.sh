#!/bin/sh
# SPDX-License-Identifier: MIT
# Reads `nm -n` of the core, writes the assembler source of its table of functions (x86/symbols.h): low halves of their
# addresses, ascending, then the names one after the other.
cat <<'EOF'
.section .symbols, "a"
.globl symbol_low, symbol_count, symbol_names
.balign 4
EOF
awk '
BEGIN { n = 0 }
$2 ~ /^[tT]$/ && $3 !~ /^\./ && $3 != "text_end" { name[n] = $3; addr[n] = $1; n++ }
END {
    print "symbol_count: .long " n
    print "symbol_low:"
    for (i = 0; i < n; i++) print ".long 0x" substr(addr[i], 9)
    print "symbol_names:"
    for (i = 0; i < n; i++) print ".asciz \"" name[i] "\""
}'
echo '.section .note.GNU-stack, "", @progbits'
