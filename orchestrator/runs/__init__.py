"""The life of a run around its sessions: load, start, resume, restore, control, remainder."""
