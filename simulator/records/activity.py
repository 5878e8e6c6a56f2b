"""What the values of a run do to the registers of the array (docs/activity.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActivityRecord:
    """Zero operands and toggled bits of one array layer, counted from its values; only with activity=True."""

    products: int
    """Multiplications the array carries out, padding taps and woven zeros included: output pixels * K * filters."""
    zero_activation_products: int
    """Products whose activation is 0, zero point subtracted; padding taps and woven zeros are 0."""
    zero_weight_products: int
    """Products whose weight is 0, zero point subtracted."""
    zero_products: int
    """Products with an operand that is 0: a gated multiplier rests, and the sum does not change."""
    activation_toggled_bits: int
    """Bits that change in the processing elements' activation registers."""
    activation_written_bits: int
    """products * width of an activation: what activation_toggled_bits is a share of."""
    weight_toggled_bits: int
    """Bits that change in the processing elements' weight registers."""
    weight_written_bits: int
    """Weights loaded into processing elements * their width: once each (weight stationary), or once for every output
    pixel (output stationary)."""
    sum_toggled_bits: int
    """Bits that change in the processing elements' sums: partial sums (weight stationary) or accumulators (output
    stationary)."""
    sum_written_bits: int
    """products * width of the sum."""
    array_pj: float | None = None
    """Energy of multipliers, adders and registers by what the values do: (products - zero_products) * nonzero_mac price
    + toggled_bits * toggled_bit price. To be read beside energy.mac_pj + energy.idle_pe_pj, which price every product
    and every idle cycle alike; not part of energy_pj. None where the energy table has no such prices."""

    @property
    def zero_share(self) -> float:
        """zero_products / products."""
        return self.zero_products / self.products

    @property
    def toggled_bits(self) -> int:
        """activation_toggled_bits + weight_toggled_bits + sum_toggled_bits."""
        return self.activation_toggled_bits + self.weight_toggled_bits + self.sum_toggled_bits

    @property
    def written_bits(self) -> int:
        """activation_written_bits + weight_written_bits + sum_written_bits."""
        return self.activation_written_bits + self.weight_written_bits + self.sum_written_bits

    @property
    def toggle_share(self) -> float:
        """toggled_bits / written_bits."""
        return self.toggled_bits / self.written_bits
