"""The version, which a database remembers."""

__version__ = "0.1.0"
