"""The HTTP routes, a file for each kind. council/app.py puts them together."""
