"""The parts of `bench/soak`: what happens to an agent, where it lives, what is seen of it, what it costs."""
