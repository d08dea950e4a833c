"""Other people's machines with known answers, read in process and compared. The files stay outside of the repository."""
