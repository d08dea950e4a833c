"""What others wrote, made into records and text within bounds: the only rooms that decode bytes."""
