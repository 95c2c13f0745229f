"""The values of the product: plans, gateways, targets, readings, outcomes, events. Pure."""
