"""Reads entries as facts about images, and writes derived facts as entries."""
