"""The ticket desk's rules, as pure as ``domain``: whose ticket a call belongs to, and what orders people's work.

Law: standard library only, no I/O, no clock.
"""
