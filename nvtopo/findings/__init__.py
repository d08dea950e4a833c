"""What does not fit, and what should be: the records that drift, doctor, page and placement share."""
