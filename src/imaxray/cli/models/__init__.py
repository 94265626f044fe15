"""Commands on models and their answers."""
