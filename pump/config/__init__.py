"""pump.toml: read, checked whole, and handed on as typed settings.

`load` is what commands and the daemon call; `ConfigError` carries every problem at once, each with its line.
"""

from pump.config.load import load, places, routes
from pump.config.model import Address, Config, Places
from pump.config.problems import ConfigError, Problem

__all__ = ["Address", "Config", "ConfigError", "Places", "Problem", "load", "places", "routes"]
