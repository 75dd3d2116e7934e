"""Hosts of small language models: engines, their Ray Serve deployment, and the recipes that train the pocket models."""
