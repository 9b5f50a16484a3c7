"""The daemon ``ctid run``: a thin shell of tasks around the core.

Law: one inbox, one consumer. ``loop`` alone touches tracker and core; the doors only append to the inbox and carry actions
out. ``run`` names every task on one page.
"""

from ctid.daemon.run import run

__all__ = ["run"]
