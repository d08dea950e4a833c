"""Other people's machines with known answers, read and compared; the files stay outside of the repository."""
