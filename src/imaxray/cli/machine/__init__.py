"""Commands on this machine and its configurations."""
