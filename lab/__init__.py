"""The lab: real servers on free loopback ports, for tests, demo and benchmarks; not part of the installed package.

Law: each server lives in a folder its user names, is ready when `start` returns, is ended by its own process id, and
dies with the process that started it. `make setup` brings the programs; nothing of the host is used or changed.
"""
