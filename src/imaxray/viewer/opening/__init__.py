"""Opens what the viewer shows: a dataset, a study, a run or a folder of pseudo annotations."""
