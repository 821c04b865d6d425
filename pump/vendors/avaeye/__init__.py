"""AvaEye (Uniview) number-plate cameras: the upstream interfaces of ANPR APIs 2.1, pushed to the listener."""

from pump.vendors.avaeye.source import AvaEye

SOURCE = AvaEye
