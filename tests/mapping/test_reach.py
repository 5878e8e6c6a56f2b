"""Taps, chunks of K and the positions they touch, against the definition of convolution written out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.mapping.chunks import chunks
from simulator.mapping.reach import Axis, reach


def runs(positions: set[int]) -> int:
    return sum(p - 1 not in positions for p in positions)


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Axis,
        st.integers(1, 12),
        st.integers(1, 12),
        st.integers(1, 4),
        *[st.integers(1, 3)] * 2,
        st.integers(0, 3),
        st.integers(1, 3),
    ),
    st.integers(1, 12),
    st.data(),
)
def test_reach_is_what_the_taps_touch(axis: Axis, tile, data):
    first = data.draw(st.integers(0, axis.kernel - 1))
    last = data.draw(st.integers(first, axis.kernel - 1))
    got = reach(axis, tile, first, last)
    before: set[int] = set()
    for index, start in enumerate(range(0, axis.out_size, tile)):
        places = {
            out * axis.stride - axis.padding + tap * axis.dilation
            for out in range(start, min(start + tile, axis.out_size))
            for tap in range(first, last + 1)
        }
        touched = {p // axis.insertion for p in places if p % axis.insertion == 0}
        touched = {p for p in touched if 0 <= p < axis.in_size}
        assert (got.positions[index], got.runs[index]) == (len(touched), runs(touched))
        fresh = touched - before
        assert (got.fresh_positions[index], got.fresh_runs[index]) == (len(fresh), runs(fresh))
        before = touched
    assert len(got.positions) == index + 1


def test_a_long_axis_takes_no_table_of_tiles_by_positions():
    size = 300_000  # pixels of a matrix product lie along one axis: a table would be 90 GB
    one = reach(Axis(size, size, kernel=1, stride=1, dilation=1, padding=0, insertion=1), 1, 0, 0)
    assert one.positions.shape == one.fresh_runs.shape == (size,)
    assert (one.positions == 1).all()
    assert (one.fresh_positions == 1).all()


@settings(max_examples=200, deadline=None)
@given(st.tuples(st.integers(1, 4), st.integers(1, 4)), st.integers(1, 7), st.integers(1, 40))
def test_chunks_cover_k_and_their_boxes_hold_what_they_touch(kernel, channels, size):
    cut = chunks(kernel, channels, size)
    covered = [k for start, length in zip(cut.start, cut.length, strict=True) for k in range(start, start + length)]
    assert covered == list(range(kernel[0] * kernel[1] * channels))
    assert cut.count.sum() == len(cut.start)
    for start, length, which in zip(cut.start, cut.length, cut.box_of, strict=True):
        box = cut.boxes[which]
        touched = [(k // (kernel[1] * channels), k // channels % kernel[1]) for k in range(start, start + length)]
        high, wide = {kh for kh, _ in touched}, {kw for _, kw in touched}
        assert (box.first_kh, box.last_kh) == (min(high), max(high))
        assert box.first_kw <= min(wide)
        assert box.last_kw >= max(wide)
        if len(high) == 1:
            assert (box.first_kw, box.last_kw) == (min(wide), max(wide))
        assert box.channels == (length if len(set(touched)) == 1 else channels)
