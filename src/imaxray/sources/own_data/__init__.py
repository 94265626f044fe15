"""Reads your own tables and images as a release, by a `source.yaml` that says what columns mean."""
