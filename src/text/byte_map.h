/* How byte-level vocabularies write bytes: each as one printable character (GPT-2, Radford et al. 2019).
 *
 * Bytes that print as Latin-1 characters stand for themselves; the 68 others take U+0100 … U+0143 in order, so that a
 * space is Ġ and a line feed Ċ. */
#ifndef MOTE_TEXT_BYTE_MAP_H
#define MOTE_TEXT_BYTE_MAP_H

#include <stddef.h>
#include <stdint.h>

/* The code point that stands for a byte. */
uint32_t byte_map_code(unsigned char byte);

/* The byte that a code point stands for; -1 for other code points. */
int byte_map_byte(uint32_t code);

/* Writes `length` bytes as characters, at most 2 bytes each; returns how many were written. */
size_t byte_map_write(const char *bytes, size_t length, char *out);

#endif
