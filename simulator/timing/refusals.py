"""What both machines say of a schedule that they cannot run."""

WAITS_FOR_EVER = (
    "its schedule waits for ever: a tile op takes a half of a memory that no earlier tile op gives back; "
    "every TAKE flag needs its GIVE"
)
"""No mapping of ours does this; a schedule made by hand may."""
