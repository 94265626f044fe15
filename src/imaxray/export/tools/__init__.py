"""Writes the format of each tool: one module a tool."""
