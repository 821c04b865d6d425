"""One module a kind of sink; found by `pump.registry`, imported only when configured."""
