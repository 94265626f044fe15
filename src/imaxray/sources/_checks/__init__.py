"""Checks what a release states: rows of tables, items of JSON, and what a reader returns."""
