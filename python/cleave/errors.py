"""The one exception of the package."""


class CleaveError(RuntimeError):
    """Bad input, a tool that is missing, or a tool that failed; its text is for people."""
