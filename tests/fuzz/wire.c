/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: bytes of the line through the decoder and the CBOR reader. What
 * is accepted must be what an encoder would have made.
 *
 * With libFuzzer:  make build/tests/fuzz/wire && build/tests/fuzz/wire tests/fuzz/wire_corpus
 * In the host tier the kept corpus is replayed under sanitizers (wire_replay.c).
 */
#include <stdlib.h>
#include <string.h>
#include "cborx.h"
#include "frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frame(const uint8_t *payload, size_t length)
{
    static uint8_t frame[FRAME_MAX_BYTES];
    static struct frame_decoder again;
    const char *why;
    unsigned good = 0;
    memset(&again, 0, sizeof again);
    size_t n = frame_encode(payload, length, frame);
    for (size_t i = 0; i < n; i++) good += frame_decode(&again, frame[i]) == FRAME_PAYLOAD;
    bool text_only = true; /* the decoder takes such a segment for text; no CBOR map is one */
    for (size_t i = 1; i + 1 < n; i++) text_only = text_only && frame[i] >= 0x20 && frame[i] < 0x7f;
    if (good != 1 && !text_only && payload[0] >= 0xa0) abort();
    cbor_item_t *item = cborx_load(payload, length, &why);
    if (item != NULL) cbor_decref(&item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame_decoder decoder;
    const char *why;
    memset(&decoder, 0, sizeof decoder);
    for (size_t i = 0; i < size; i++) {
        if (frame_decode(&decoder, data[i]) == FRAME_PAYLOAD)
            check_frame(decoder.payload, decoder.payload_bytes);
    }
    /* The CRC keeps a fuzzer out of the CBOR reader: the same bytes go there directly. */
    cbor_item_t *item = cborx_load(data, size, &why);
    if (item != NULL) {
        uint8_t *back = NULL;
        size_t room = 0, length = cbor_serialize_alloc(item, &back, &room);
        if (length != size) abort(); /* shortest forms, so it comes out as it went in */
        free(back);
        cbor_decref(&item);
    }
    return 0;
}
