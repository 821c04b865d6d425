"""All vendors, all sinks and faults drawn from a seed, with an oracle that counts what became of each event."""
