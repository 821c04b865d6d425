"""Hikvision cameras, recorders, access terminals and panels: the alertStream of their ISAPI."""

from pump.vendors.hik_camera.source import HikCamera

SOURCE = HikCamera
