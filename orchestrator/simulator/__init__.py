"""The platforms on loopback, with faults on request.

``platforms`` is the pure core: it takes requests and returns deliveries, without a socket, a clock or dice.
``server`` puts it on sockets, and ``process`` puts the server into a process of its own.
"""
