"""Notifications of a run to people, through apprise: begun, waves ended, gateways parked, ended."""
