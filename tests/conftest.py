"""What all tests share: hypothesis without a clock, for busy and noisy machines; few examples in the inner loop."""

import hypothesis

hypothesis.settings.register_profile("nvtopo", deadline=None, print_blob=True)
hypothesis.settings.register_profile("unit", deadline=None, print_blob=True, max_examples=30)
hypothesis.settings.load_profile("nvtopo")
