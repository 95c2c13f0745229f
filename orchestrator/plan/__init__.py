"""From a plan's YAML to its typed form and its targets, or to every problem with its line."""
