"""Readers for public releases, one module a release."""
