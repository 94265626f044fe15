"""Helpers that several tasks share; the face of the tasks is `imaxray.tasks`."""
