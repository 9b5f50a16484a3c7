"""The long load: thousands of calls with sound, watched and counted. ``python -m lab.soak``, or ``make soak``.

Law: what is promised stands in ``verdict``; every promise is judged from outside ctid (SIPp's own logs, Asterisk's CDR
and CEL, the metrics page, /proc) against its books, and a broken one is exit status 1.
"""
