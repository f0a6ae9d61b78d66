"""How events become bytes.

A format holds no state, and the same event gives the same bytes, so that all who use it can be sent
the same object.
"""
