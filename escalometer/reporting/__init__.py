"""What people read: a profile as text, as a figure and as one page that opens offline.

Everything here takes the document of `escalometer profile --json` and computes nothing that a
reader could mistake for a result: it only says in words what the numbers say.
"""
