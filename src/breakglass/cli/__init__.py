"""The command line: one file per noun; it prints and never decides.

What a responder types at 03:00 starts in 150 ms of CPU: nothing heavy is imported before it is
needed, and a person's signature is made by ``ssh-keygen``, so agents and security keys work.
"""
