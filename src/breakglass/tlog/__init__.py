"""Log mathematics and the C2SP texts: trees, tiles, notes, heads, cosignatures, policies, proofs.

Importable without the rest of breakglass. Nothing here reads a network, a disk or a clock, and
nothing knows what an entry means: an entry is bytes. Verification raises, and returns no bool.
"""
