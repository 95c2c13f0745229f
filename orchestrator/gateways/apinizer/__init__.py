"""Apinizer."""
