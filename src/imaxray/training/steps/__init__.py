"""Decides what each optimizer step sees: its entries, their tokens and images, and its shares."""
