"""Applies rules to facts until nothing new follows, and measures the precision of each rule."""
