"""The steps of a document: `steps.py DOCUMENT NAME…` prints those marked `<!-- steps: NAME -->`, in that order.

For whoever runs them as they stand there (`packaging/try_steps.sh`, the tests).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

_MARKED: Final = re.compile(r"<!-- steps: ([a-z-]+) -->\n```sh\n(.*?)```\n", re.DOTALL)


def steps(document: Path) -> dict[str, str]:
    """Name to script, letter by letter. ValueError where a name stands twice or a mark has no steps."""
    text = document.read_text(encoding="utf-8")
    found = _MARKED.findall(text)
    if len(dict(found)) != text.count("<!-- steps:"):
        raise ValueError(f"{document}: a mark has no steps, or a name stands twice")
    return dict(found)


if __name__ == "__main__":
    known = steps(Path(sys.argv[1]))
    sys.stdout.write("".join(known[name] for name in sys.argv[2:]))
