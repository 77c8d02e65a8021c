"""What a stack consists of: one file per capability, the only code that creates resources.

Every component is ``Name(name, args, opts=None)`` with a frozen dataclass of arguments. Components
know nothing of the stack's settings: ``__main__`` hands each one what it needs. A component's name
is the name of what it makes, so names are given in one place.
"""
