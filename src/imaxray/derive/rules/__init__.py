"""What a rule is, the built-in rules by the kind of fact that they read, and those of the user."""
