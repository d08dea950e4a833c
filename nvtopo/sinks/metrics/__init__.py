"""The metrics page, family by family: declared once as data, filled purely, rendered as text."""
