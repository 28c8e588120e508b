"""The life of a grant as the broker tells it: asked, decided, recorded, handed out, closed."""
