"""Cross entropy of integer training in plain Python, its tables from decimal fractions of 60 digits."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext

import numpy as np

from support.training_step_twin import Q, over, shifted


def _tables():
    with localcontext() as context:
        context.prec = 60
        context.rounding = ROUND_FLOOR
        half, two = Decimal("0.5"), Decimal(2)

        def nearest(value):
            return int((value * 2**30 + half).to_integral_value())

        powers = [nearest(two ** (Decimal(-k) / 1024)) for k in range(1025)]
        logs = [nearest((1 + Decimal(k) / 1024).ln() / two.ln()) for k in range(1025)]
    return powers, logs


_POWERS, _LOGS = _tables()


def _read(table, position):
    knot, rest = position >> 10, position & 1023
    return table[knot] + shifted((table[knot + 1] - table[knot]) * rest, 10) if rest else table[knot]


def cross_entropy(logits, labels, ignore, weights):
    """-> error Q, (loss, weight, valid pixels)."""
    mantissa, exponent = logits.scale
    errors = np.zeros(logits.values.shape, object)
    loss = total_weight = valid = 0
    for place in np.ndindex(*labels.shape):
        label = int(labels[place])
        if label == ignore:
            continue
        row = [int(v) for v in logits.values[place]]
        ts = [min(shifted((max(row) - v) * mantissa * 1549082005, 10 - exponent), 40 << 20) for v in row]
        es = [shifted(_read(_POWERS, t & 0xFFFFF), t >> 20) for t in ts]
        total = sum(es)
        ps = [shifted(v * ((1 << 62) // total), 44) for v in es]
        weight = weights[label] if weights else 256
        for c, p in enumerate(ps):
            errors[(*place, c)] = weight * (p - ((1 << 18) if c == label else 0))
        leading = total.bit_length() - 1
        log = ((leading - 30) << 30) + _read(_LOGS, (total >> (leading - 20)) - (1 << 20))
        nll = shifted(((ts[label] << 10) + log) * 11629080, 38)
        loss += shifted(weight * nll, 8)
        total_weight += weight
        valid += 1
    scale = over((1, -18), max(total_weight, 1))
    return Q(errors, scale, 32), (loss, total_weight, valid)
