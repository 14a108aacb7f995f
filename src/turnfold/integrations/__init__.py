"""Turnfold as the session store of other frameworks: one module each, imported by name."""
