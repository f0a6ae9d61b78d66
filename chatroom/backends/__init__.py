"""Backends: the stores of shared and persistent data.

`interfaces` defines what the chat expects of a backend. `memory` keeps its data in the process,
`sqlite` in one file.
"""
