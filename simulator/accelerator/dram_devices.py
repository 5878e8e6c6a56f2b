"""DRAM devices by name: geometry and core timings, each number with its source.

[M4]  Micron, "8Gb: x4, x8, x16 DDR4 SDRAM" (MT40A1G8), features and AC timing tables; standard JESD79-4.
[L]   enjoy-digital/litedram, litedram/modules.py: modules as their data sheets give them (M393A2K40DB3, MT53E256M16D1).
[D3]  umd-memsys/DRAMsim3, configs/DDR4_8Gb_x8_3200.ini, in clocks of 0.625 ns.
[MX]  Micron, "200b: x32 LPDDR4/LPDDR4X SDRAM" (MT53D512M32D2), features; one data sheet for both, core timings alike.
[DS4] tukl-msd/DRAMSys, JEDEC_8Gb_LPDDR4-3200_16bit.json, after JESD209-4, in clocks of 0.625 ns.
[DSH] tukl-msd/DRAMSys, HBM2.json: JESD235 leaves timings to the vendor and no vendor's data sheet is public; these were
      read out of a graphics card. gem5, src/mem/DRAMInterface.py, HBM_2000_4H_1x64, has the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DramDevice:
    """One module of DRAM: what lies abreast of one data bus. Times in nanoseconds."""

    type: str
    """As `dram.type`: which price of a bit is its own."""
    peak_bytes_per_second: int
    channels: int
    """Channels (or pseudo channels) with a command bus of their own, interleaved burst by burst."""
    page_bytes: int
    """Row buffer of one bank of one channel, all chips of it."""
    bank_groups: int
    """1 = none; else successive bursts take turns among them, so that tCCD_S holds and not tCCD_L."""
    banks_per_group: int
    access_bytes: int
    """One burst of one channel: the least that is moved."""
    rcd_ns: float
    """tRCD, from ACTIVATE to the column access."""
    rp_ns: float
    """tRP, from PRECHARGE to ACTIVATE."""
    ras_ns: float
    """tRAS, from ACTIVATE to PRECHARGE."""
    rrd_ns: float
    """tRRD_S, from ACTIVATE to ACTIVATE of another bank (group)."""
    faw_ns: float
    """tFAW, window of four ACTIVATEs."""
    wr_ns: float
    """tWR, from the last data written to PRECHARGE."""
    rfc_ns: float
    """tRFC, one REFRESH of all banks."""
    refi_ns: float
    """tREFI, from REFRESH to REFRESH."""


DEVICES = {
    # A 64-bit channel of eight x8 chips of 8 Gb, speed bin 22-22-22.
    "ddr4_3200": DramDevice(
        type="ddr4",
        peak_bytes_per_second=25_600_000_000,  # 3200 MT/s x 64 bits
        channels=1,
        page_bytes=8 * 1024,  # [D3] 1024 columns x 8 bits, of each of eight chips
        bank_groups=4,  # [M4] "16 internal banks (x4, x8): 4 groups of 4 banks each"
        banks_per_group=4,
        access_bytes=64,  # [M4] 8n prefetch: 8 beats x 64 bits
        rcd_ns=13.75,  # [L] M393A2K40DB3; [M4] CL-nRCD-nRP 22-22-22 x 0.625 ns
        rp_ns=13.75,  # likewise
        ras_ns=32,  # [L]; [M4] speed bin tables
        rrd_ns=2.5,  # [D3] tRRD_S = 4 clocks
        faw_ns=21.25,  # [D3] tFAW = 34 clocks
        wr_ns=15,  # [L]; [D3] 24 clocks
        rfc_ns=350,  # [M4] tRFC1 of 8 Gb
        refi_ns=7800,  # [M4] tREFI up to 85 degrees
    ),
    # 32 bits: two channels of 16 bits, 8 Gb each.
    "lpddr4x_3200": DramDevice(
        type="lpddr4",
        peak_bytes_per_second=12_800_000_000,  # 3200 MT/s x 32 bits
        channels=2,  # [MX] "512 Meg x 32 (2 channels x 16 I/O)"
        page_bytes=2048,  # [DS4] 1024 columns x 16 bits
        bank_groups=1,
        banks_per_group=8,  # [MX] "8 internal banks per channel"
        access_bytes=32,  # [MX] 16n prefetch: 16 beats x 16 bits
        rcd_ns=18.125,  # [DS4] 29 clocks; [L] 18 ns
        rp_ns=18.125,  # [DS4] tRPpb = 29 clocks (all banks: 34)
        ras_ns=42.5,  # [DS4] 68 clocks; [L] 42 ns
        rrd_ns=10,  # [DS4] 16 clocks; [L] 10 ns
        faw_ns=40,  # [DS4] 64 clocks; [L] 40 ns
        wr_ns=18.125,  # [DS4] 29 clocks; [L] 18 ns
        rfc_ns=280,  # [DS4] tRFCab = 448 clocks
        refi_ns=3903.75,  # [DS4] 6246 clocks; 32 ms / 8192
    ),
    # One stack of 1024 bits in pseudo-channel mode, 4 high, 8 Gb dies.
    "hbm2_2000": DramDevice(
        type="hbm2",
        peak_bytes_per_second=256_000_000_000,  # 2000 MT/s x 1024 bits
        channels=16,  # [DSH] 64 bits each
        page_bytes=1024,  # [DSH] 128 columns x 64 bits
        bank_groups=4,  # [DSH]
        banks_per_group=4,  # [DSH] 16 banks
        access_bytes=32,  # [DSH] 4 beats x 64 bits
        rcd_ns=12,  # [DSH] tRCDRD; tRCDWR is 6, so writes come out too slow by up to 6 ns a row
        rp_ns=14,  # [DSH]
        ras_ns=28,  # [DSH]
        rrd_ns=4,  # [DSH] tRRDS
        faw_ns=16,  # [DSH]
        wr_ns=14,  # [DSH]
        rfc_ns=220,  # [DSH]
        refi_ns=3900,  # [DSH]
    ),
}
