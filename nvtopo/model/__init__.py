"""What a node is: facts as read, and the conclusions drawn from them. Pure: no I/O, no clock, no logging."""
