"""Speaks to the PBX: bytes to messages, messages to the domain's events, the core's actions to AMI, and sound files.

Law: channels, bridges and AMI headers are words of this room only. ``client`` alone knows panoramisk; ``wire`` reads
the same bytes without it, so that a recorded stream can be replayed with no PBX and no panoramisk.
"""
