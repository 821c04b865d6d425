"""`python -m tests.chaos.harness --seed 7 --seconds 60`, `--seeds 1-200 --log FILE`, `--seed 7 --schedule`."""

from __future__ import annotations

from tests import environ
from tests.chaos.harness.run import main

if __name__ == "__main__":
    environ.forget()  # behind a proxy its simulators would seem away
    main()
