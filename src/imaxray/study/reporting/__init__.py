"""Turns the folder of a finished study into its report; each module makes some of its sections."""
