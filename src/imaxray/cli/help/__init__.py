"""Helps those who type commands: an example of each, completion in a shell, and what JSON holds."""
