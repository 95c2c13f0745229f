"""From what is live on the gateways of a plan to a plan that takes it down; reads only."""
