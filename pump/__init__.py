"""pump: gathers the events of parking and security sites, stores each durably, fans them out in one form."""

__version__ = "0.1.0"
