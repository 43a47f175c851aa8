"""The one exception that a user is meant to read."""


class InputError(Exception):
    """Bad input: data, a model or a configuration that the work can't go on with.

    The message is one line that names the file and the line or key, what was found, what was expected and what to do.
    Commands print it without a traceback and exit with status 1.
    """
