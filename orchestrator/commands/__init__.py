"""The subcommands, one file each. Each offers ``command``; at its top it imports click and nothing heavy."""
