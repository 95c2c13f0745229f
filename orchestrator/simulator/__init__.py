"""Both platforms on loopback, with faults on request.

``platforms`` is the pure heart: requests in, deliveries out, no socket, no clock and no die. ``server`` puts
it on sockets, ``process`` puts the server into a process of its own.
"""
