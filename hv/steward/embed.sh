#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Writes assembly that holds Lua's shared library for policies (struct lua_file lua_library[], see lua/sandbox.c).
#
# usage: embed.sh POLICY-LUA-DIRECTORY
set -eu
dir=$1

echo '.section .rodata'
n=0
for file in "$dir"/lib/*.lua; do
    n=$((n + 1))
    echo "name$n: .asciz \"$(basename "$file" .lua)\""
    echo "text$n: .incbin \"$file\""
    echo "end$n:"
done
echo '.balign 8'
echo '.globl lua_library'
echo 'lua_library:'
i=0
while [ $i -lt $n ]; do
    i=$((i + 1))
    echo ".quad name$i, text$i, end$i - text$i"
done
echo '.quad 0, 0, 0'
echo '.section .note.GNU-stack,"",@progbits'
