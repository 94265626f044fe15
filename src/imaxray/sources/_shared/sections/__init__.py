"""Splits the text of a report into sections, by the rules and exceptions of MIT-LCP."""
