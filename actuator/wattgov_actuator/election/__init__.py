"""Which of several actuators turns what all of them reach."""
