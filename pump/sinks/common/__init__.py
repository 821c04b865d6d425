"""Parts that several sinks are made of."""
