"""The offline verifier that gates and minters share: pure, with ``cryptography`` alone.

Nothing here reads a file, a clock or a network: the token, the trust file, the time and what the
verifier remembers all come in as arguments.
"""
