"""The ticket desk's rules: what a ticket may become and who may change it, what comes first, what a promise is.

Law: as pure as the domain: standard library only, synchronous, no clock, no logger, no I/O.
Times are Unix seconds that come in.
"""
