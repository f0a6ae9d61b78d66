"""Where what is shared or lasting is kept.

`interfaces` says what a backend is asked. `memory` is the backend of one process, `sqlite` keeps
everything in one file.
"""
