"""Inputs: one module for each thing that is read, named after it."""
