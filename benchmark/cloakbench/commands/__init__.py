"""The verbs of the command line: each parses, calls a library function, and renders what came back."""
