# SPDX-License-Identifier: MIT
"""usage: disk_image.py IMAGE FIRST-SECTOR SECTORS BEFORE

Checks an image that a core with `disk-test` has been at: both ends of the partition hold its pattern, and everything else is as in
the image BEFORE. Says what differs; status 1 if anything does.
"""
import struct
import sys

END, CHUNK = 4096, 128  # sectors: hv/drv/disk_test.c


def pattern(sector):
    """One sector that was written in the chunk that begins a whole number of chunks after the partition does."""
    return struct.pack('<64Q', *((sector * 64 + i) * 0x9e3779b97f4a7c15 & 0xffffffffffffffff for i in range(64)))


def main(path, first, count, before):
    first, count = int(first), int(count)
    with open(path, 'rb') as image, open(before, 'rb') as old:
        image, old = image.read(), old.read()
    wrong = []
    for sector in range(len(image) // 512):
        at = sector - first
        chunk = at // CHUNK * CHUNK
        written = 0 <= at and chunk + CHUNK <= count and (chunk < END or chunk + END >= count)
        want = pattern(sector) if written else old[sector * 512:sector * 512 + 512]
        if image[sector * 512:sector * 512 + 512] != want:
            wrong.append(sector)
    print(f'{len(wrong)} wrong sectors {wrong[:8]}')
    return len(image) != len(old) or bool(wrong)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
