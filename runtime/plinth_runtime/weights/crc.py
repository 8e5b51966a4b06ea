"""CRC32C of a whole from the CRC32C of its parts, in any order of arrival. Pure arithmetic; hashing bytes is not here.

A checksum is a polynomial over GF(2), its highest power in bit 0. Appending n bytes multiplies by x^(8n); that factor
is computed once per part size, so that each part costs one multiplication of 32 steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

POLYNOMIAL = 0x82F63B78
ONE = 1 << 31
X = 1 << 30
BITS_OF_BYTE = 3
"""log2 of 8."""


def combine(first: int, second: int, second_length: int) -> int:
    """Give the CRC32C of two byte strings put together, from theirs and the length of the second."""
    return _multiply(_shift(second_length), first) ^ second


def combine_all(crcs: Iterable[tuple[int, int]]) -> int:
    """Give the CRC32C of consecutive pieces: (crc, length) of each. Nothing gives 0."""
    whole = 0
    for crc, length in crcs:
        whole = combine(whole, crc, length)
    return whole


@cache
def _shift(length: int) -> int:
    """Give x^(8 * length)."""
    factor, power, remaining = ONE, BITS_OF_BYTE, length
    while remaining:
        if remaining & 1:
            factor = _multiply(_power(power), factor)
        remaining >>= 1
        power += 1
    return factor


@cache
def _power(exponent: int) -> int:
    """Give x^(2^exponent)."""
    if exponent == 0:
        return X
    root = _power(exponent - 1)
    return _multiply(root, root)


def _multiply(left: int, right: int) -> int:
    """Multiply two polynomials modulo CRC32C's."""
    product = 0
    for bit in range(31, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = (right >> 1) ^ POLYNOMIAL if right & 1 else right >> 1
    return product
