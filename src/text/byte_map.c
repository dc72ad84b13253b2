/* GPT-2's table of bytes as characters, by its three gaps. */
#include "text/byte_map.h"

enum { FIRST_CODE = 0x100, LAST_CODE = 0x143 };

/* 00…20, 7f…a0 and ad do not print; FIRST_CODE + n is the n-th of them. */
uint32_t byte_map_code(unsigned char byte)
{
    if (byte <= 0x20)
        return FIRST_CODE + byte;
    if (byte >= 0x7f && byte <= 0xa0)
        return FIRST_CODE + 0x21u + (byte - 0x7fu);
    return byte == 0xad ? LAST_CODE : byte;
}

int byte_map_byte(uint32_t code)
{
    if (code > LAST_CODE)
        return -1;
    if (code == LAST_CODE)
        return 0xad;
    if (code >= FIRST_CODE + 0x21)
        return (int)(code - FIRST_CODE - 0x21 + 0x7f);
    if (code >= FIRST_CODE)
        return (int)(code - FIRST_CODE);
    return byte_map_code((unsigned char)code) == code ? (int)code : -1;
}

size_t byte_map_write(const char *bytes, size_t length, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        uint32_t code = byte_map_code((unsigned char)bytes[i]);
        if (code < 0x80) {
            out[written++] = (char)code;
        } else {
            out[written++] = (char)(0xc0 | code >> 6);
            out[written++] = (char)(0x80 | (code & 0x3f));
        }
    }
    return written;
}
