"""The routes: one function each, from the stack's settings to the components that carry the data.

Wiring only: nothing here creates a resource itself.
"""
