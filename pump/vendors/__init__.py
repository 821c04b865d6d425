"""One folder a vendor; found by `pump.registry`, imported only when configured."""
