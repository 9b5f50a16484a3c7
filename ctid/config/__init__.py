"""What a site sets: ``load`` reads the TOML file, the environment and the secret files, and checks all of it.

Law: past ``load`` each value has its type and is in range. No secret is part of a repr, a fault or a warning.
"""

from ctid.config.faults import ConfigurationFaults
from ctid.config.reading import DEFAULT_PATH, load, load_policy
from ctid.config.sections import (
    Ami,
    Cdr,
    Cel,
    Database,
    Desk,
    LineSection,
    Log,
    Metrics,
    Mqtt,
    Recordings,
    Routing,
    Settings,
    State,
    Web,
)
from ctid.config.values import AGENT_ID, Address, Broker

__all__ = [
    "AGENT_ID",
    "DEFAULT_PATH",
    "Address",
    "Ami",
    "Broker",
    "Cdr",
    "Cel",
    "ConfigurationFaults",
    "Database",
    "Desk",
    "LineSection",
    "Log",
    "Metrics",
    "Mqtt",
    "Recordings",
    "Routing",
    "Settings",
    "State",
    "Web",
    "load",
    "load_policy",
]
