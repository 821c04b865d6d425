"""Nameless vendor: records are polled, stored, and confirmed."""

from pump.cli.new.templates.nameless_vendor.source import NamelessVendor

SOURCE = NamelessVendor
