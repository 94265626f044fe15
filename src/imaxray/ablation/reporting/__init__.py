"""Writes the report of an ablation: verdict, gains of all arms, tasks, yields and methods."""
