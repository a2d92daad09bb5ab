"""Remote models: what the providers that ask a server share."""
