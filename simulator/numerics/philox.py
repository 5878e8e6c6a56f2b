"""Random bits that depend on a position alone: the Philox 4x32-10 counter-based generator.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
"""

from __future__ import annotations

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
"""M0 and M1 of the round function."""
WEYL = (0x9E3779B9, 0xBB67AE85)
"""What the two key words grow by between rounds."""
ROUNDS = 10
_MASK = 0xFFFFFFFF


def philox4x32(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Encrypt four 32-bit counter words under two 32-bit key words, ten rounds."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _MASK, (p0 >> 32) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + WEYL[0]) & _MASK, (k1 + WEYL[1]) & _MASK
    return c0, c1, c2, c3


def stochastic_draw(seed: int, step: int, tensor: int, index: int) -> int:
    """Return 64 random bits for one element of one tensor in one step.

    Parameters
    ----------
    seed
        Key of the generator, 64 bits.
    step
        Training step or run counter, 32 bits.
    tensor
        Number of the tensor, 32 bits (executors use the CRC-32 of its name).
    index
        Flat index of the element, 64 bits.

    """
    counter = (index & _MASK, (index >> 32) & _MASK, tensor & _MASK, step & _MASK)
    w0, w1, _, _ = philox4x32(counter, (seed & _MASK, (seed >> 32) & _MASK))
    return w1 << 32 | w0
