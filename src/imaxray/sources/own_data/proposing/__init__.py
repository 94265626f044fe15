"""Looks at your own tables and proposes a `source.yaml`: what is understood, and what is asked."""
