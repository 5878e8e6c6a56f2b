"""Write the photograph of the demo: a stained section of colonic glands, which scikit-image carries.

No known copyright restrictions (scikit-image).

python examples/nuclei/photograph.py FILE.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from skimage.data import immunohistochemistry


def main() -> None:
    """Write it to the path given."""
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(immunohistochemistry()).save(path)


if __name__ == "__main__":
    main()
