"""What all tests share: hypothesis without a clock, since these machines are busy and noisy."""

import hypothesis

hypothesis.settings.register_profile("nvtopo", deadline=None, print_blob=True)
hypothesis.settings.load_profile("nvtopo")
