"""`python -m pump`."""

from pump.cli import main

main()
