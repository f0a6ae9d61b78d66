"""The doors: each module is one way in."""
