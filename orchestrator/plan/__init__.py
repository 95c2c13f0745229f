"""Read a plan's YAML into its typed form and its targets, or into problems with their lines; write plans."""
