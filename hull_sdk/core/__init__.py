"""The bottom of the house: doors to time, randomness, threads and sockets, and what both sides share.

Nothing else in the package imports ``time``, ``random``, ``uuid``, ``threading``, ``concurrent.futures``
or ``socket``; that is what lets a whole platform and its connectors run on a virtual clock.
"""
