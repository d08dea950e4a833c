"""Gangs of gated pods: when each is placed, which pod gets which rank, its claims, and what becomes of it."""
