"""How people sign, and how that is checked: SSH signatures and passkeys."""
