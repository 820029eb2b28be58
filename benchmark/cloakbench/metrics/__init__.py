"""What is measured: visibility of a protection, success of a mimic."""
