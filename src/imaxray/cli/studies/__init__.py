"""Commands on whole studies, and on what they leave behind."""
