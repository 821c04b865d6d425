"""Nameless vendor: records are polled, stored, and confirmed."""

from pump.cli.templates.nameless_vendor.source import NamelessVendor

SOURCE = NamelessVendor
