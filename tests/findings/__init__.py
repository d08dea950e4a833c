"""Findings and expectations."""
