"""What members are worth, measured: recorded or fresh answers to labelled questions, and reports on them."""
