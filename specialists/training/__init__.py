"""Recipes that train the pocket models: made-up documents, a base from scratch, LoRA specialists on it."""
