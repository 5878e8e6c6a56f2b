"""Emission of vector instructions into Numba functions: the vocabulary of the register-tiled kernels.

A `Lanes` writes LLVM IR for vectors of int32 lanes. Loops and mutable state are Numba's (`cgutils.for_range`,
`alloca`): LLVM promotes the state to registers. Instructions that only some CPUs have come in two spellings: their own,
and, `emulated`, plain IR of the same meaning, so that kernels for any instruction set can be tested on any machine.

Sources: Intel Intrinsics Guide (pmaddwd, pmaddubsw, vpdpbusd, vpdpwssd, vpdpwssds, packssdw, packuswb, cvtps2dq).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils as _cgutils

from simulator.kernels.isa import InstructionSet

cgutils: Any = _cgutils
"""Numba's helpers for loops and state; it carries no types."""

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32 = ir.FloatType()

_PAIR_PRODUCTS = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}

_PACK_WORDS = {8: "llvm.x86.avx2.packssdw", 16: "llvm.x86.avx512.packssdw.512"}
_PACK_BYTES = {8: "llvm.x86.avx2.packuswb", 16: "llvm.x86.avx512.packuswb.512"}

_BIT_LANES = 16
"""Lanes of sets whose comparisons give bits, AVX-512."""
_BYTE_PAIR_PRODUCTS = {8: "llvm.x86.avx2.pmadd.ub.sw", 16: "llvm.x86.avx512.pmaddubs.w.512"}


def constant64(value: int) -> Any:
    """Return an int64 constant."""
    return ir.Constant(I64, value)


def offset(builder: Any, address: Any, size: int) -> Any:
    """Address `size` bytes on."""
    return builder.add(address, constant64(size))


def load_scalar(builder: Any, address: Any, type_: Any) -> Any:
    """Load one number from an address, aligned or not."""
    return builder.load(builder.inttoptr(address, type_.as_pointer()), align=1)


def _indices(order: range) -> Any:
    return ir.Constant(ir.VectorType(I32, len(order)), list(order))


def store(builder: Any, value: Any, address: Any) -> None:
    """Store a number or a vector at an address, aligned or not."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)


class Lanes:
    """Writes instructions on the vectors of int32 lanes of an instruction set."""

    def __init__(self, builder: Any, isa: InstructionSet) -> None:
        self.builder = builder
        self.count = count = isa.lanes
        self.isa = isa
        self.type = ir.VectorType(I32, count)
        self.words = ir.VectorType(I16, 2 * count)
        """A vector of int16 of the same size."""
        self.bytes = 4 * count

    # ---------------------------------------------------------------- constants, memory, state

    def constant(self, value: int) -> Any:
        """Return a vector of one value."""
        return ir.Constant(self.type, [value] * self.count)

    def splat(self, scalar: Any) -> Any:
        """Return a vector of one scalar of any type."""
        kind = ir.VectorType(scalar.type, self.count)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(
            first, ir.Constant(kind, ir.Undefined), ir.Constant(self.type, [0] * self.count)
        )

    def load(self, address: Any, type_: Any = None) -> Any:
        """Load a vector (of int32 unless `type_` says otherwise) from an address, aligned or not."""
        return load_scalar(self.builder, address, type_ or self.type)

    def store(self, vector: Any, address: Any) -> None:
        """Store a vector of any type at an address, aligned or not."""
        store(self.builder, vector, address)

    def variable(self, value: Any) -> Any:
        """Return a mutable vector; LLVM keeps it in a register."""
        return cgutils.alloca_once_value(self.builder, value)

    # ---------------------------------------------------------------- arithmetic

    def call(self, name: str, *operands: Any, result: Any = None) -> Any:
        """Call an LLVM intrinsic."""
        function_type = ir.FunctionType(result or operands[0].type, [operand.type for operand in operands])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, function_type, name), operands)

    def minimum(self, a: Any, b: Any) -> Any:
        """Lesser of each pair of signed lanes."""
        return self.call(f"llvm.smin.v{self.count}i32", a, b)

    def maximum(self, a: Any, b: Any) -> Any:
        """Greater of each pair of signed lanes."""
        return self.call(f"llvm.smax.v{self.count}i32", a, b)

    def clamp(self, value: Any, low: Any, high: Any) -> Any:
        """Nearest value in [low, high]."""
        return self.minimum(self.maximum(value, low), high)

    def magnitude(self, value: Any) -> Any:
        """Absolute value of each lane."""
        return self.call(f"llvm.abs.v{self.count}i32", value, ir.Constant(ir.IntType(1), 0), result=self.type)

    def shift_in_top_bit(self, history: Any, value: Any) -> Any:
        """Shift each lane of a history left by one, and its lowest bit is the top bit of `value` (vpshldd, if any)."""
        return self.call(f"llvm.fshl.v{self.count}i32", history, value, self.constant(1))

    def count_ones(self, value: Any) -> Any:
        """Return how many bits of each lane are 1."""
        return self.call(f"llvm.ctpop.v{self.count}i32", value)

    def interleave(self, a: Any, b: Any, half: int) -> Any:
        """Return lanes of a and b by turns: of their lower half (0), or their upper (1)."""
        begin = half * self.count // 2
        order = [lane + vector for lane in range(begin, begin + self.count // 2) for vector in (0, self.count)]
        return self.builder.shuffle_vector(a, b, ir.Constant(self.type, order))

    def where_different(self, a: Any, b: Any) -> Any:
        """-1 in each lane where a and b differ, else 0."""
        return self.builder.sext(self.builder.icmp_unsigned("!=", a, b), self.type)

    def any_true(self, conditions: Any) -> Any:
        """Whether a comparison holds in any lane."""
        bits = ir.IntType(conditions.type.count)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(conditions, bits), ir.Constant(bits, 0))

    def hold_real(self, values: Any) -> Any:
        """Return float32 lanes held to [-2^31, 2^30]."""
        kind = values.type
        held = self.call(f"llvm.minnum.v{self.count}f32", values, ir.Constant(kind, [2.0**30] * self.count))
        # cvtps2dq makes -2^31 of whatever lies below.
        least = ir.Constant(kind, [-(2.0**31)] * self.count)
        return self.call(f"llvm.maxnum.v{self.count}f32", held, least) if self.isa.emulated else held

    def round_to_int32(self, values: Any) -> Any:
        """Round float32 lanes that are within `hold_real`, ties to even (cvtps2dq)."""
        if self.isa.emulated:
            return self.builder.fptosi(self.call(f"llvm.rint.v{self.count}f32", values), self.type)
        if self.count == 8:
            return self.call("llvm.x86.avx.cvt.ps2dq.256", values, result=self.type)
        every, current = ir.Constant(I16, -1), ir.Constant(I32, 4)
        kept = ir.Constant(self.type, ir.Undefined)
        return self.call("llvm.x86.avx512.mask.cvtps2dq.512", values, kept, every, current, result=self.type)

    # ---------------------------------------------------------------- int16 and bytes

    def splat_words(self, scalar: Any) -> Any:
        """Return a vector of one int16."""
        first = self.builder.insert_element(ir.Constant(self.words, ir.Undefined), scalar, ir.Constant(I32, 0))
        order = ir.Constant(ir.VectorType(I32, self.words.count), [0] * self.words.count)
        return self.builder.shuffle_vector(first, ir.Constant(self.words, ir.Undefined), order)

    def add_words_saturating(self, a: Any, b: Any) -> Any:
        """Add int16, held to int16."""
        return self.call(f"llvm.sadd.sat.v{a.type.count}i16", a, b)

    def clamp_words(self, value: Any, low: Any, high: Any) -> Any:
        """Nearest int16 in [low, high]."""
        count = value.type.count
        return self.call(f"llvm.smin.v{count}i16", self.call(f"llvm.smax.v{count}i16", value, low), high)

    def join_words(self, vectors: list[Any]) -> Any:
        """Return the lower halves of the lanes of one vector or two, one vector after the other, as int16."""
        joined = vectors[0]
        if len(vectors) > 1:
            joined = self.builder.shuffle_vector(*vectors, _indices(range(2 * self.count)))
        return self.builder.trunc(joined, ir.VectorType(I16, joined.type.count))

    def parts_of_words(self, words: Any) -> list[Any]:
        """Return the vectors of as many numbers, of whatever type, that `join_words` joined."""
        none = ir.Constant(words.type, ir.Undefined)
        begins = range(0, words.type.count, self.count)
        return [self.builder.shuffle_vector(words, none, _indices(range(i, i + self.count))) for i in begins]

    def pack_words(self, a: Any, b: Any) -> Any:
        """Hold the lanes of two vectors to int16 (packssdw): in each 16 bytes those of a, then those of b."""
        if not self.isa.emulated:
            return self.call(_PACK_WORDS[self.count], a, b, result=self.words)
        narrow = ir.VectorType(I16, self.count)
        rails = [self.constant(rail) for rail in (-(1 << 15), (1 << 15) - 1)]
        halves = [self.builder.trunc(self.clamp(vector, *rails), narrow) for vector in (a, b)]
        order = [
            lane + i for begin in range(0, self.count, 4) for lane in (begin, begin + self.count) for i in range(4)
        ]
        return self.builder.shuffle_vector(*halves, ir.Constant(ir.VectorType(I32, len(order)), order))

    def splat_bytes(self, scalar: Any) -> Any:
        """Return a panel of one byte, as many as one or two vectors of words hold: see `pack_panel`."""
        kind = self._panel
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        order = ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), order)

    def minimum_bytes(self, a: Any, b: Any) -> Any:
        """Lesser of each pair of unsigned bytes of panels."""
        return self.call(f"llvm.umin.v{self._panel.count}i8", a, b)

    @property
    def _panel(self) -> Any:
        return ir.VectorType(I8, self.count * self.isa.vectors)

    def pack_panel(self, words: list[Any]) -> Any:
        """Hold int16 to unsigned bytes (packuswb), in the order of the channels: one vector of `pack_words`, or two."""
        order = [4 * at + j for j in range(2 * len(words)) for at in range(self.count // 4)]
        indices = ir.Constant(ir.VectorType(I32, len(order)), order)
        none = ir.Constant(self.type, ir.Undefined)
        bytes_ = ir.VectorType(I8, 4 * self.count)
        if self.isa.emulated:
            rails = [ir.Constant(self.words, [rail] * self.words.count) for rail in (0, 255)]
            narrow = ir.VectorType(I8, self.words.count)
            parts = [self.builder.trunc(self.clamp_words(vector, *rails), narrow) for vector in words]
            quads = ir.VectorType(ir.IntType(64), self.count // 4)
            a, b = (self.builder.bitcast(part, quads) for part in (parts[0], parts[-1]))
            turns = [lane + at for lane in range(quads.count) for at in (0, quads.count)]
            packed = self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(turns)), turns))
        else:
            packed = self.call(_PACK_BYTES[self.count], words[0], words[-1], result=bytes_)
        dwords = self.builder.shuffle_vector(self.builder.bitcast(packed, self.type), none, indices)
        return self.builder.bitcast(dwords, self._panel)

    def counter(self) -> Counter:
        """Return a count of int16 that something is true of."""
        return Counter(self)

    # ---------------------------------------------------------------- dot products within a lane

    def pair_products(self, a: Any, b: Any) -> Any:
        """Sum of two products of int16 in each lane (pmaddwd). Exact but for two times (-2^15)^2."""
        if self.isa.emulated:
            return self._sum_of_products(a, b, range(0, 32, 16), 16, signed=True)
        halves = ir.VectorType(I16, 2 * self.count)
        operands = self.builder.bitcast(a, halves), self.builder.bitcast(b, halves)
        return self.call(_PAIR_PRODUCTS[self.count], *operands, result=self.type)

    def add_pair_products(self, total: Any, a: Any, b: Any) -> Any:
        """Add two products of int16 to each lane, modulo 2^32 (vpdpwssd where there is one)."""
        if self.isa.has_pair_dot and not self.isa.emulated:
            return self.call(self._vnni("vpdpwssd"), total, a, b)
        return self.builder.add(total, self.pair_products(a, b))

    def add_pair_products_saturating(self, total: Any, a: Any, b: Any) -> Any:
        """Add two products of int16 to each lane, saturating the exact sum to int32 (vpdpwssds)."""
        if not self.isa.emulated:
            return self.call(self._vnni("vpdpwssds"), total, a, b)
        wide = ir.VectorType(I64, self.count)
        sums = [self.builder.sext(total, wide)]
        for low in (0, 16):
            product = self.builder.mul(self._part(a, low, 16, signed=True), self._part(b, low, 16, signed=True))
            sums.append(self.builder.sext(product, wide))
        exact = self.builder.add(self.builder.add(sums[0], sums[1]), sums[2])
        rails = [ir.Constant(wide, [rail] * self.count) for rail in (-(1 << 31), (1 << 31) - 1)]
        held = self.call(f"llvm.smax.v{self.count}i64", exact, rails[0])
        held = self.call(f"llvm.smin.v{self.count}i64", held, rails[1])
        return self.builder.trunc(held, self.type)

    def add_byte_products(self, total: Any, a: Any, b: Any) -> Any:
        """Add four products of a uint8 (of a) and an int8 (of b) to each lane, modulo 2^32.

        At once (vpdpbusd), or by way of sums of two products that saturate to int16 (pmaddubsw), which the caller has
        to rule out.
        """
        if self.isa.has_byte_dot and not self.isa.emulated:
            # The spelling with int32 operands: LLVM 15 to 20 know no other, later ones upgrade it.
            return self.call(self._vnni("vpdpbusd"), total, a, b)
        if self.isa.has_byte_dot:
            return self.builder.add(total, self._sum_of_products(a, b, range(0, 32, 8), 8, signed=False))
        if self.isa.emulated:
            for begin in (0, 16):
                pair = self._sum_of_products(a, b, range(begin, begin + 16, 8), 8, signed=False)
                held = self.clamp(pair, self.constant(-(1 << 15)), self.constant((1 << 15) - 1))
                total = self.builder.add(total, held)
            return total
        bytes_, halves = ir.VectorType(I8, 4 * self.count), ir.VectorType(I16, 2 * self.count)
        operands = self.builder.bitcast(a, bytes_), self.builder.bitcast(b, bytes_)
        pairs = self.call(_BYTE_PAIR_PRODUCTS[self.count], *operands, result=halves)
        ones = ir.Constant(halves, [1] * halves.count)
        return self.builder.add(total, self.call(_PAIR_PRODUCTS[self.count], pairs, ones, result=self.type))

    def _vnni(self, name: str) -> str:
        return f"llvm.x86.avx512.{name}.{32 * self.count}"

    def _part(self, vector: Any, low: int, bits: int, *, signed: bool) -> Any:
        """Bits low .. low + bits of each lane as a number."""
        raised = self.builder.shl(vector, self.constant(32 - bits - low))
        lower = self.builder.ashr if signed else self.builder.lshr
        return lower(raised, self.constant(32 - bits))

    def _sum_of_products(self, a: Any, b: Any, lows: range, bits: int, *, signed: bool) -> Any:
        total = self.constant(0)
        for low in lows:
            product = self.builder.mul(self._part(a, low, bits, signed=signed), self._part(b, low, bits, signed=True))
            total = self.builder.add(total, product)
        return total


class Counter:
    """Counts int16 of which something is true, in less than 2^15 vectors of them.

    Where a comparison gives bits, these are counted by the scalar unit, which is idle; else each lane has a count.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._gives_bits = lanes.count == _BIT_LANES
        none = constant64(0) if self._gives_bits else ir.Constant(lanes.words, [0] * lanes.words.count)
        self._count = cgutils.alloca_once_value(lanes.builder, none)
        lanes.builder.store(none, self._count)

    def add(self, condition: Any) -> None:
        """Add the number of words for which a comparison holds."""
        builder, words = self._lanes.builder, self._lanes.words
        count = builder.load(self._count)
        if self._gives_bits:
            bits = builder.zext(builder.bitcast(condition, ir.IntType(words.count)), I64)
            found = builder.add(count, self._lanes.call("llvm.ctpop.i64", bits))
        else:
            found = builder.sub(count, builder.sext(condition, words))
        builder.store(found, self._count)

    def total(self) -> Any:
        """Return the count, int64."""
        builder, count = self._lanes.builder, self._lanes.builder.load(self._count)
        if self._gives_bits:
            return count
        words = self._lanes.words.count
        wide = builder.zext(count, ir.VectorType(I32, words))
        return builder.zext(self._lanes.call(f"llvm.vector.reduce.add.v{words}i32", wide, result=I32), I64)
